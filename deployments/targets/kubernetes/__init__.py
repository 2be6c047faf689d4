"""Model servers as pods of a cluster: one Deployment and Service per version."""

from deployments.targets.kubernetes.target import KubernetesTarget

__all__ = ["KubernetesTarget"]
