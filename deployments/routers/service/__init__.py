"""Traffic split without a gateway: one Service of the product, and the pods that it leads to."""

from deployments.routers.service.router import ServiceRouter
from deployments.routers.service.shares import nearest, pods_for

__all__ = ["ServiceRouter", "nearest", "pods_for"]
