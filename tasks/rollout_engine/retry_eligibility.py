"""Which version may be rolled out again, and with which evidence."""

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.errors import BadArtifact, NotFound
from deployments.registry import ModelVersion
from deployments.rollout.state import Phase, RolloutState
from deployments.strategies.plan import Goal, goal_of


@dataclass(frozen=True, slots=True)
class Again:
    """A version to roll out once more. `carries` names the rollout whose evidence counts again, None for none."""

    version: int
    carries: str | None


def eligible_version(
    product: str,
    versions: Sequence[ModelVersion],
    rollouts: Sequence[RolloutState],
    champion: int | None,
    wanted: int | None,
) -> Again:
    """The version `wanted`, or the newest of proved origin that was refused or never brought to its end.

    `versions` are all of the product, `rollouts` newest first, `champion` serves. What was seen of the version beside
    the present champion counts again: a fresh start would be a second chance for a harmful one. Raises `NotFound` when
    there is nothing to retry, and `BadArtifact` for a version that is not known to be what was judged.
    """
    if wanted is None:
        open_ones = [each for each in versions if _is_open(each, champion, rollouts)]
        proved = [each.version for each in open_ones if not each.doubt]
        if open_ones and not proved:
            raise BadArtifact(open_ones[-1].doubt)
        if not proved:
            raise NotFound(f"{product} has no version to retry: every one was champion; `seatrial release {product}`")
        return Again(max(proved), _evidence_on(max(proved), champion, rollouts))
    version = next((each for each in versions if each.version == wanted), None)
    if version is None:
        raise NotFound(f"no version {wanted} of {product!r}: see `seatrial status {product}`")
    if wanted == champion:
        raise NotFound(f"{product} v{wanted} is the champion already: nothing to retry")
    if not _is_open(version, champion, rollouts):
        raise NotFound(
            f"{product} v{wanted} was champion before: `seatrial rollback {product} --to {wanted}` brings it back"
        )
    if version.doubt:
        raise BadArtifact(version.doubt)
    return Again(wanted, _evidence_on(wanted, champion, rollouts))


def _is_open(version: ModelVersion, champion: int | None, rollouts: Sequence[RolloutState]) -> bool:
    """Whether the version's last way to the traffic did not end with it as champion."""
    if version.version == champion:
        return False
    last = next(
        (each for each in rollouts if each.candidate == version.version and goal_of(each.steps) is Goal.PROMOTE), None
    )
    return last is None or last.phase is not Phase.DONE or version.deployed_at is None


def _evidence_on(version: int, champion: int | None, rollouts: Sequence[RolloutState]) -> str | None:
    mine = (each for each in rollouts if each.candidate == version and each.former == champion is not None)
    return next((each.rollout_id for each in mine), None)
