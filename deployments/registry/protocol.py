"""What a rollout needs of the model registry."""

from datetime import datetime
from pathlib import Path
from typing import Protocol

from deployments.registry.versions import DeploymentStatus, ModelVersion


class Champions(Protocol):
    """Who is champion, who wants to be, and where the files of a version are. Every method is safe to repeat.

    All raise `RegistryUnreachable` when the registry does not answer, `NotFound` for an unknown version.
    """

    def champion(self, product: str) -> ModelVersion | None:
        """The version that serves; None if there is none."""
        ...

    def challenger(self, product: str) -> ModelVersion | None:
        """The version that is to become champion; None if there is none."""
        ...

    def previous(self, product: str) -> ModelVersion | None:
        """Where a rollback goes; None if there is nowhere to go."""
        ...

    def get(self, product: str, version: int) -> ModelVersion:
        """One version, as it is now."""
        ...

    def set_challenger(self, product: str, version: int | None) -> None:
        """Name the challenger; None takes the name away."""
        ...

    def set_status(self, product: str, version: int, status: DeploymentStatus) -> None:
        """Write what became of a version."""
        ...

    def promote(self, product: str, version: int, at: datetime) -> ModelVersion:
        """Make `version` champion; the former one becomes `previous`."""
        ...

    def reinstate(self, product: str, version: int, at: datetime) -> ModelVersion:
        """Put a former champion back; the one it takes over from is marked rolled back."""
        ...

    def fetch(self, product: str, version: int, folder: Path) -> Path:
        """The model folder of a version, every byte checked."""
        ...
