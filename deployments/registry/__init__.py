"""Which versions of a product exist, and which one is champion.

Belongs here: the only code that talks to MLflow's model registry, and the model folder that servers load. Does not
belong here: training runs (tasks/models), where traffic goes (routers), how far a rollout is (journals).
"""

from deployments.registry.mlflow_registry import ModelRegistry
from deployments.registry.model_version import DeploymentStatus, ModelVersion, VersionFacts

__all__ = ["DeploymentStatus", "ModelRegistry", "ModelVersion", "VersionFacts"]
