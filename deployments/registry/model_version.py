"""A model version as Seatrial sees it, and how it is written into the registry's tags."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from deployments.errors import NotFound

T = TypeVar("T")

PREFIX: Final = "seatrial."
STATUS: Final = f"{PREFIX}status"
DEPLOYED_AT: Final = f"{PREFIX}deployed_at"
ROLLBACK_VERSION: Final = f"{PREFIX}rollback_version"
IMAGE: Final = f"{PREFIX}image"
SEAL: Final = f"{PREFIX}seal"


class DeploymentStatus(StrEnum):
    """What became of a version."""

    REGISTERED = "registered"
    DEPLOYING = "deploying"
    LIVE = "live"
    RETIRED = "retired"  # replaced by a later champion
    REFUSED = "refused"  # its rollout was given up before it became champion
    ROLLED_BACK = "rolled_back"  # was champion, and traffic was taken from it
    UNREADABLE = "unreadable"  # never written: somebody else wrote a word that is none of these


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """What is known of a version when it is registered, and never changes afterwards.

    `model_type` is the kind of task (classification, regression), `algorithm` the estimator's class, `size_mb` the real
    size of all its files in units of 10^6 bytes, `manifest` the SHA-256 of every file of the model folder by its path.
    A metric that could not be computed is NaN. `trusted_types` are those that the spec allowed the model to hold. As
    they come back from the registry all of them are for people to read: what is loaded follows from the seal alone.
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

    `image` is the container image that holds its model, with its digest; None if none was built. `problems` says, a
    sentence each, which of its tags are missing or cannot be read: somebody edited them. What they held is then unknown
    here (an empty mapping, NaN, None, or `UNREADABLE`); everything else stands. `doubt` says why its files and types
    are not known to be those that Seatrial judged, with the next step; empty: they are. `seal` is then the digest of
    what was sealed.
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
    problems: tuple[str, ...] = ()
    doubt: str = ""
    seal: str = ""

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
    """Whether a version was registered by Seatrial; others may share the same registry.

    One tag of ours is enough: somebody may have removed others.
    """
    return any(f"{PREFIX}{field.name}" in tags for field in fields(VersionFacts)) or STATUS in tags


def version_of(raw: Any, aliases: tuple[str, ...]) -> ModelVersion:
    """The version that MLflow's entity `raw` describes. Raises `NotFound` if Seatrial did not register it."""
    if not is_ours(raw.tags):
        raise NotFound(
            f"{raw.name} v{raw.version} was not registered by Seatrial: `seatrial status` shows those that were"
        )
    tags = _Tags(raw.tags)
    return ModelVersion(
        product=raw.name,
        version=int(raw.version),
        run_id=raw.run_id or "",
        model_uri=raw.source or "",
        facts=_facts_in(tags, datetime.fromtimestamp((raw.creation_timestamp or 0) / 1000, UTC)),
        status=tags.read(STATUS, _status, DeploymentStatus.UNREADABLE, "no status"),
        deployed_at=tags.read(DEPLOYED_AT, _moment, None, "no time") if DEPLOYED_AT in tags.tags else None,
        rollback_version=tags.read(ROLLBACK_VERSION, int, None, "no version")
        if ROLLBACK_VERSION in tags.tags
        else None,
        image=tags.tags.get(IMAGE),
        aliases=tuple(sorted(aliases)),
        problems=tuple(tags.problems),
    )


@dataclass(frozen=True, slots=True)
class _Tags:
    """Reads tags that anybody may have edited; what cannot be read becomes a problem, and never an error."""

    tags: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def read(self, tag: str, parse: Callable[[str], T], otherwise: T, none: str) -> T:
        text = self.tags.get(tag)
        if text is None:
            self.problems.append(f"the tag {tag} is missing")
            return otherwise
        try:
            return parse(text)
        except (ValueError, TypeError, AttributeError, RecursionError):
            self.problems.append(f"the tag {tag} says {_shortened(text)!r}, which is {none}")
            return otherwise


def _facts_in(tags: _Tags, registered_at: datetime) -> VersionFacts:
    def read(name: str, parse: Callable[[str], T], otherwise: T, none: str = "not what was written") -> T:
        return tags.read(f"{PREFIX}{name}", parse, otherwise, none)

    return VersionFacts(
        created_at=read("created_at", _moment, registered_at, "no time"),
        model_type=read("model_type", str, ""),
        algorithm=read("algorithm", str, ""),
        hyperparameters=read("hyperparameters", _texts, {}),
        data_fingerprint=read("data_fingerprint", str, ""),
        metrics=read("metrics", _numbers, {}),
        size_mb=read("size_mb", float, math.nan, "no size"),
        manifest=read("manifest", _texts, {}),
        spec_digest=read("spec_digest", str, ""),
        trusted_types=read("trusted_types", _names, ()),
    )


def _status(text: str) -> DeploymentStatus:
    status = DeploymentStatus(text)
    if status is DeploymentStatus.UNREADABLE:
        raise ValueError(text)
    return status


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _texts(text: str) -> Mapping[str, str]:
    return {name: _text_in(value) for name, value in json.loads(text).items()}


def _names(text: str) -> tuple[str, ...]:
    names = json.loads(text)
    if not isinstance(names, list):
        raise ValueError(text)
    return tuple(_text_in(name) for name in names)


def _text_in(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(value)
    return value


def _numbers(text: str) -> Mapping[str, float]:
    return {name: math.nan if value is None else float(value) for name, value in json.loads(text).items()}


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
