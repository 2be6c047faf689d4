"""Where a rollback goes: by the journal, and by the registry only where the journal does not know."""

from deployments.errors import NotFound, SeatrialError
from deployments.registry import DeploymentStatus, ModelVersion
from deployments.wiring import Doors
from tasks.rollouts.champion import who_serves
from tasks.rollouts.standing import was_champion, way_back


def back_to(product: str, wanted: int | None, doors: Doors) -> int:
    """The version that a rollback goes to: `wanted`, or the champion before the present one.

    Raises `NotFound` when there is none, and for a version that never was champion, or is it now.
    """
    serving = who_serves(product, doors)
    if serving is None:
        raise NotFound(f"{product} has no champion: release it first")
    if wanted is None:
        return _before(product, serving, doors)
    if wanted == serving:
        raise NotFound(f"{product} v{wanted} is the champion already: nothing to roll back")
    if was_champion(wanted, doors.journal.rollouts(product)):
        return wanted
    version = doors.registry.get(product, wanted)
    if version.deployed_at is None:
        raise NotFound(f"{version.name} never was champion ({version.status}): name one that was, or release anew")
    return version.version


def _before(product: str, serving: int, doors: Doors) -> int:
    former = way_back(serving, doors.journal.rollouts(product))
    if former is not None:
        return former
    recorded = _recorded(product, serving, doors)
    before = recorded.rollback_version if recorded is not None else None
    version = _recorded(product, before, doors) if before is not None else None
    if before is None or version is None or version.status is DeploymentStatus.ROLLED_BACK:
        raise NotFound(f"{product} v{serving} replaced nobody: name a version with --to, or release a new one")
    return before


def _recorded(product: str, version: int, doors: Doors) -> ModelVersion | None:
    """What the registry knows of a version; None: nothing, or nobody answers."""
    try:
        return doors.registry.get(product, version)
    except SeatrialError:
        return None
