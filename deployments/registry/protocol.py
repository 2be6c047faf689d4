"""What a rollout needs of the model registry."""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import Protocol

from deployments.registry.launch_spec import Kept
from deployments.registry.model_version import DeploymentStatus, ModelVersion
from deployments.registry.registry_diff import Standing


class Champions(Protocol):
    """Who is champion, who wants to be, and where the files of a version are. Every method is safe to repeat.

    It is written for people to read, and anybody may edit it: nothing that serves rests on what it says. A version with
    tags that cannot be read is a version with `problems`; a name on a version that is not Seatrial's names nobody.
    All raise `RegistryUnreachable` when the registry does not answer, `NotFound` for an unknown version.
    """

    def champion(self, product: str) -> ModelVersion | None:
        """The version that is called champion; None if there is none. Who serves, `who_serves` knows."""
        ...

    def versions(self, product: str) -> tuple[ModelVersion, ...]:
        """All versions that Seatrial registered, oldest first; empty for an unknown product."""
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

    def promote(self, product: str, version: int, at: datetime, former: int | None) -> ModelVersion:
        """Make `version` champion; `former`, which served before (None: nobody), becomes `previous`."""
        ...

    def reinstate(self, product: str, version: int, at: datetime, ousted: int | None) -> ModelVersion:
        """Put a former champion back; `ousted`, from which it takes over, is marked rolled back."""
        ...

    def differences(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """Where the registry says something else than what is `wanted`, a sentence each."""
        ...

    def repair(self, product: str, wanted: Standing) -> tuple[str, ...]:
        """Make aliases and tags say what is `wanted`; returns what was changed, a sentence each."""
        ...

    def bring_back(self, product: str, runs: Collection[str]) -> tuple[str, ...]:
        """Undo what hides a product whose versions come of `runs`; returns what was done, a sentence each."""
        ...

    def fetch(self, product: str, version: int, folder: Path) -> Path:
        """The model folder of a version, every byte checked against the version's seal."""
        ...

    def model(self, product: str, version: int, folder: Path) -> Kept:
        """The same with the types that the model may hold; also without the registry, if it was fetched before.

        Raises `BadArtifact`, with the next step, for a version that has no seal of this platform's.
        """
        ...

    def reseal(self, product: str, version: int, run: str, noted: str | None, folder: Path) -> str:
        """Seal a version that came of `run` again, by the journal's note or the files in `folder`; how it is known.

        Empty where it is not known.
        """
        ...
