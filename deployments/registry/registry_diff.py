"""What the registry should say of a product, and where it says something else: pure.

Anybody may edit the registry, and nothing that serves rests on it. Who serves, and what became of each version, the
journal knows; the registry is made to agree with that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from deployments.registry.model_version import DEPLOYED_AT, ROLLBACK_VERSION, STATUS, DeploymentStatus, ModelVersion

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"
PREVIOUS: Final = "previous"


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one version, as far as anybody but the registry knows; None where nobody does.

    `former` is the champion that it replaced.
    """

    status: DeploymentStatus
    deployed_at: datetime | None = None
    former: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Who serves, who wants to, where a rollback goes; and what became of versions, by number."""

    champion: int | None
    challenger: int | None = None
    previous: int | None = None
    versions: Mapping[int, Became] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """All that the registry says of a product: its versions, oldest first, and which numbers the names stand on."""

    versions: Sequence[ModelVersion] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)

    def differences(self, wanted: Standing) -> tuple[str, ...]:
        """Where it says something else than what is `wanted`, a sentence each; empty if it agrees."""
        changed = edits(self.versions, self.aliases, wanted)
        return *(edit.why for edit in changed), *beyond_repair(self.versions, wanted)


@dataclass(frozen=True, slots=True)
class Edit:
    """One thing to be written into the registry: an alias (`version` None: it goes), or a tag of `version`.

    `why` is the difference in words.
    """

    why: str
    version: int | None
    alias: str | None = None
    tag: str | None = None
    value: str = ""


def edits(found: Sequence[ModelVersion], aliases: Mapping[str, int], wanted: Standing) -> tuple[Edit, ...]:
    """What has to be written so that the registry, in which `found` and `aliases` stand, says what is `wanted`."""
    known = {each.version: each for each in found}
    named = {CHAMPION: wanted.champion, CHALLENGER: wanted.challenger, PREVIOUS: wanted.previous}
    changed = [_name(alias, version, aliases.get(alias), known) for alias, version in named.items()]
    tags = [edit for each in found for edit in _tags(each, wanted)]
    # The names come last: whoever sees them finds the tags that belong to them.
    return (*tags, *(edit for edit in changed if edit is not None))


def beyond_repair(found: Sequence[ModelVersion], wanted: Standing) -> Iterator[str]:
    """What differs and no edit of an alias or tag can mend, in words."""
    known = {each.version for each in found}
    for role, version in ((CHAMPION, wanted.champion), (CHALLENGER, wanted.challenger), (PREVIOUS, wanted.previous)):
        if version is not None and version not in known:
            yield f"v{version} ({role}) is not in the registry any more, or is not Seatrial's there"
    mended = {STATUS, DEPLOYED_AT, ROLLBACK_VERSION}
    for each in found:
        yield from (f"v{each.version}: {it}" for it in each.problems if not any(f" {tag} " in it for tag in mended))
        if each.doubt:
            yield each.doubt


def _name(alias: str, wanted: int | None, now: int | None, known: Mapping[int, ModelVersion]) -> Edit | None:
    if now == wanted or (wanted is not None and wanted not in known):
        return None
    stands = f"the alias {alias} is on {f'v{now}' if now is not None else 'no version'}"
    return Edit(f"{stands}, not on {f'v{wanted}' if wanted is not None else 'none'}", wanted, alias=alias)


def _tags(each: ModelVersion, wanted: Standing) -> Iterator[Edit]:
    became = wanted.versions.get(each.version) or Became(_guessed(each))
    who = f"v{each.version}"
    status = _status(each, became, wanted)
    if status is not each.status:
        stands = _problem(each, STATUS) or f"the tag {STATUS} says {str(each.status)!r}"
        yield Edit(f"{who}: {stands}, not {str(status)!r}", each.version, tag=STATUS, value=status)
    moment = became.deployed_at
    if each.deployed_at is None and moment is not None and each.version == wanted.champion:
        yield Edit(f"{who}: {_unknown(each, DEPLOYED_AT)}", each.version, tag=DEPLOYED_AT, value=moment.isoformat())
    former = became.former
    if former is not None and each.rollback_version != former and each.version == wanted.champion:
        stands = f"the tag {ROLLBACK_VERSION} says {each.rollback_version}"
        why = (
            f"{who}: {stands if each.rollback_version else _unknown(each, ROLLBACK_VERSION)}, but it replaced v{former}"
        )
        yield Edit(why, each.version, tag=ROLLBACK_VERSION, value=str(former))
    for tag, known in ((DEPLOYED_AT, moment), (ROLLBACK_VERSION, former)):
        if (each.version != wanted.champion or known is None) and (problem := _problem(each, tag)):
            value = "" if known is None else known.isoformat() if isinstance(known, datetime) else str(known)
            yield Edit(f"{who}: {problem}", each.version, tag=tag, value=value)


def _status(each: ModelVersion, became: Became, wanted: Standing) -> DeploymentStatus:
    """What the tag should say. A word that cannot be wrong for this version stays: the registry may know better."""
    if wanted.champion is not None and each.version == wanted.champion:
        return DeploymentStatus.LIVE
    passing = {DeploymentStatus.UNREADABLE, DeploymentStatus.LIVE}
    if each.version != wanted.challenger:
        passing.add(DeploymentStatus.DEPLOYING)
    return became.status if each.status in passing else each.status


def _guessed(each: ModelVersion) -> DeploymentStatus:
    """Of a version of which only the registry knows."""
    return DeploymentStatus.REGISTERED if each.deployed_at is None else DeploymentStatus.RETIRED


def _unknown(each: ModelVersion, tag: str) -> str:
    return _problem(each, tag) or f"the tag {tag} is missing"


def _problem(each: ModelVersion, tag: str) -> str | None:
    return next((it for it in each.problems if f" {tag} " in it), None)
