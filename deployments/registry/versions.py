"""A model version as Seatrial sees it, and how it is written into the registry's tags."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from deployments.errors import NotFound

PREFIX: Final = "seatrial."
STATUS: Final = f"{PREFIX}status"
DEPLOYED_AT: Final = f"{PREFIX}deployed_at"
ROLLBACK_VERSION: Final = f"{PREFIX}rollback_version"
IMAGE: Final = f"{PREFIX}image"


class DeploymentStatus(StrEnum):
    """What became of a version."""

    REGISTERED = "registered"
    DEPLOYING = "deploying"
    LIVE = "live"
    RETIRED = "retired"  # replaced by a later champion
    REFUSED = "refused"  # its rollout was given up before it became champion
    ROLLED_BACK = "rolled_back"  # was champion, and traffic was taken from it


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is known of a version when it is registered, and never changes afterwards.

    `model_type` is the kind of task (classification, regression), `algorithm` the estimator's class, `size_mb` the real
    size of all its files in units of 10^6 bytes, `manifest` the SHA-256 of every file of the model folder by its path.
    A metric that could not be computed is NaN. `trusted_types` are those that the spec allowed the model to hold.
    """

    created_at: datetime
    model_type: str
    algorithm: str
    hyperparameters: Mapping[str, str]
    data_fingerprint: str
    metrics: Mapping[str, float]
    size_mb: float
    manifest: Mapping[str, str]
    spec_digest: str
    trusted_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a product. `rollback_version` is the champion it replaced; None while it never was champion.

    `image` is the container image that holds its model, with its digest; None if none was built.
    """

    product: str
    version: int
    run_id: str
    model_uri: str
    facts: VersionFacts
    status: DeploymentStatus
    deployed_at: datetime | None = None
    rollback_version: int | None = None
    image: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """`flights v3`, for messages and logs."""
        return f"{self.product} v{self.version}"


def tags_of(facts: VersionFacts) -> dict[str, str]:
    """Every tag of a version that was just registered; complete, so that one call creates it whole."""
    values: dict[str, Any] = asdict(facts)
    values["metrics"] = {name: value if math.isfinite(value) else None for name, value in facts.metrics.items()}
    values["created_at"] = facts.created_at.isoformat()
    return {f"{PREFIX}{name}": _text(value) for name, value in values.items()} | {STATUS: DeploymentStatus.REGISTERED}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def is_ours(tags: Mapping[str, str]) -> bool:
    """Whether a version was registered by Seatrial; others may share the same registry."""
    return STATUS in tags and all(f"{PREFIX}{field.name}" in tags for field in fields(VersionFacts))


def version_of(raw: Any, aliases: tuple[str, ...]) -> ModelVersion:
    """The version that MLflow's entity `raw` describes. Raises `NotFound` if Seatrial did not register it."""
    tags: Mapping[str, str] = raw.tags
    if not is_ours(tags):
        raise NotFound(
            f"{raw.name} v{raw.version} was not registered by Seatrial: `seatrial status` shows those that were"
        )
    return ModelVersion(
        product=raw.name,
        version=int(raw.version),
        run_id=raw.run_id,
        model_uri=raw.source,
        facts=_facts_in(tags),
        status=DeploymentStatus(tags[STATUS]),
        deployed_at=datetime.fromisoformat(tags[DEPLOYED_AT]) if DEPLOYED_AT in tags else None,
        rollback_version=int(tags[ROLLBACK_VERSION]) if ROLLBACK_VERSION in tags else None,
        image=tags.get(IMAGE),
        aliases=tuple(sorted(aliases)),
    )


def _facts_in(tags: Mapping[str, str]) -> VersionFacts:
    def text(name: str) -> str:
        return tags[f"{PREFIX}{name}"]

    metrics = json.loads(text("metrics"))

    return VersionFacts(
        created_at=datetime.fromisoformat(text("created_at")),
        model_type=text("model_type"),
        algorithm=text("algorithm"),
        hyperparameters=json.loads(text("hyperparameters")),
        data_fingerprint=text("data_fingerprint"),
        metrics={name: math.nan if value is None else float(value) for name, value in metrics.items()},
        size_mb=float(text("size_mb")),
        manifest=json.loads(text("manifest")),
        spec_digest=text("spec_digest"),
        trusted_types=tuple(json.loads(text("trusted_types"))),
    )
