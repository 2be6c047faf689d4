"""What the registry should say of a product, by who serves and by the journal; and where a rollback goes."""

from collections.abc import Sequence

from deployments.registry import DeploymentStatus
from deployments.registry.registry_diff import Became, Standing
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote
from deployments.strategies.plan import Goal, goal_of
from deployments.wiring import Doors
from tasks.rollout_engine.champion import champion_by, promoted, who_serves

_GIVEN_UP = frozenset({Phase.RESTORING, Phase.ROLLED_BACK})


def desired_registry_of(product: str, doors: Doors) -> Standing:
    """What the registry should say now. Raises as `who_serves` does."""
    return desired_registry(who_serves(product, doors), doors.journal.rollouts(product))


def desired_registry(serving: int | None, rollouts: Sequence[RolloutState]) -> Standing:
    """What the registry should say when `serving` serves; `rollouts` are the journal's, newest first."""
    wanted = next((each for each in rollouts if each.live and each.phase is not Phase.RESTORING), None)
    challenges = wanted is not None and goal_of(wanted.steps) is Goal.PROMOTE and not promoted(wanted)
    candidate = wanted.candidate if wanted is not None and challenges and wanted.candidate != serving else None
    return Standing(
        champion=serving,
        challenger=candidate,
        previous=rollback_version(serving, rollouts),
        versions={version: _became(version, serving, rollouts) for version in {each.candidate for each in rollouts}},
    )


def rollback_version(serving: int | None, rollouts: Sequence[RolloutState]) -> int | None:
    """Which version a rollback of `serving` goes to by the journal; None: to none, or the journal does not know.

    That is the version that it replaced, unless traffic was taken from that one by a rollback.
    """
    former = _replaced(serving, rollouts)
    if former is None or _became(former, serving, rollouts).status is DeploymentStatus.ROLLED_BACK:
        return None
    return former


def was_champion(version: int, rollouts: Sequence[RolloutState]) -> bool:
    """Whether the version ever had all traffic as champion, by the journal."""
    return any(version == each.former or (each.candidate == version and promoted(each)) for each in rollouts)


def _replaced(version: int | None, rollouts: Sequence[RolloutState]) -> int | None:
    crowned = (each for each in rollouts if each.candidate == version != each.former and _made_champion(each))
    return next((each.former for each in crowned), None)


def _made_champion(state: RolloutState) -> bool:
    done = state.steps[: state.done]
    return any(isinstance(step, Promote) for step in done) and champion_by(state) == state.candidate


def _became(version: int, serving: int | None, rollouts: Sequence[RolloutState]) -> Became:
    mine = [each for each in rollouts if each.candidate == version]
    crowned = next((each for each in mine if promoted(each) and champion_by(each) == version), None)
    at, former = (crowned.updated_at, _replaced(version, rollouts)) if crowned is not None else (None, None)
    return Became(_status(version, serving, rollouts), at, former)


def _status(version: int, serving: int | None, rollouts: Sequence[RolloutState]) -> DeploymentStatus:
    """By the newest rollout that says anything of the version."""
    if version == serving:
        return DeploymentStatus.LIVE
    for each in rollouts:
        if each.former == version != each.candidate and promoted(each) and champion_by(each) == each.candidate:
            back = goal_of(each.steps) is Goal.REINSTATE
            return DeploymentStatus.ROLLED_BACK if back else DeploymentStatus.RETIRED
        if each.candidate != version:
            continue
        if each.phase in _GIVEN_UP:
            return DeploymentStatus.ROLLED_BACK if promoted(each) else DeploymentStatus.REFUSED
        if each.live:
            return DeploymentStatus.DEPLOYING
        return DeploymentStatus.RETIRED if promoted(each) else DeploymentStatus.REGISTERED
    return DeploymentStatus.REGISTERED
