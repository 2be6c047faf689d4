"""Traffic split without a gateway: one Service of the product, and the pods that it leads to."""

from deployments.routers.kubernetes_service.pod_shares import nearest, pods_for
from deployments.routers.kubernetes_service.router import ServiceRouter

__all__ = ["ServiceRouter", "nearest", "pods_for"]
