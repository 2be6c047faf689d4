"""Where a rollback goes: by the journal, and by the registry only where the journal does not know."""

from deployments.errors import NotFound, SeatrialError
from deployments.registry import DeploymentStatus, ModelVersion
from deployments.wiring import Doors
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.desired_aliases import rollback_version, was_champion


def rollback_target(product: str, wanted: int | None, doors: Doors, called: str = "") -> int:
    """The version that a rollback goes to: `wanted`, or the champion before the present one.

    Raises `NotFound` when there is none, and for a version that never was champion, or is it now. `called` is what the
    commands that it advises call the product; empty: by its name.
    """
    serving, called = who_serves(product, doors), called or product
    if serving is None:
        raise NotFound(f"{product} has no champion: `seatrial release {called}` makes one")
    if wanted is None:
        return _before(product, serving, doors, called)
    if wanted == serving:
        raise NotFound(f"{product} v{wanted} is the champion already: nothing to roll back")
    if was_champion(wanted, doors.journal.rollouts(product)):
        return wanted
    version = doors.registry.get(product, wanted)
    if version.deployed_at is None:
        raise NotFound(
            f"{version.name} never was champion ({version.status}): "
            f"`seatrial retry {called} --version {wanted}` rolls it out"
        )
    return version.version


def _before(product: str, serving: int, doors: Doors, called: str) -> int:
    former = rollback_version(serving, doors.journal.rollouts(product))
    if former is not None:
        return former
    recorded = _recorded(product, serving, doors)
    before = recorded.rollback_version if recorded is not None else None
    version = _recorded(product, before, doors) if before is not None else None
    if before is None or version is None or version.status is DeploymentStatus.ROLLED_BACK:
        raise NotFound(f"{product} v{serving} replaced nobody: {_instead(product, serving, doors, called)}")
    return before


def _instead(product: str, serving: int, doors: Doors, called: str) -> str:
    """What can be done where nobody comes before the champion."""
    rollouts = doors.journal.rollouts(product)
    were = [state.candidate for state in rollouts if was_champion(state.candidate, rollouts)]
    others = sorted(set(were) - {serving})
    if not others:
        return f"`seatrial release {called}` brings a new one"
    return f"`seatrial rollback {called} --to {others[-1]}` brings one back that was champion"


def _recorded(product: str, version: int, doors: Doors) -> ModelVersion | None:
    """What the registry knows of a version; None: nothing, or nobody answers."""
    try:
        return doors.registry.get(product, version)
    except SeatrialError:
        return None
