"""Where the registry says something else than what is true, and making it agree again.

Somebody edited MLflow by hand, or lost it. Nothing that serves rests on what it says, so that a difference is told, and
nothing else follows from it, until a person asks for the repair.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from deployments.errors import Busy, SeatrialError
from deployments.journals.protocol import Event
from deployments.journals.registration_notes import registration_of
from deployments.wiring import Doors
from tasks.rollout_engine.desired_aliases import desired_registry_of
from tasks.rollout_engine.lease import hold, under_way
from tasks.secondary_errors import lease_released_after


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair came to, a sentence each: what was changed, and what differs still and why.

    `serving` is the version that serves; None: nobody does.
    """

    product: str
    serving: int | None
    changed: tuple[str, ...]
    left: tuple[str, ...]


def differences(product: str, doors: Doors) -> tuple[str, ...]:
    """Where the registry says something else than the journal and what serves, a sentence each; empty: nowhere."""
    return doors.registry.differences(product, desired_registry_of(product, doors))


def note_differences(product: str, doors: Doors) -> None:
    """Put the differences into the history, if there are any; a registry that does not answer differs in nothing."""
    try:
        found = differences(product, doors)
    except SeatrialError:
        return
    if found:
        detail = {"seen": "; ".join(found), "repair": f"seatrial repair {product}"}
        doors.journal.record(Event(product, "", doors.clock.now(), "registry.differs", detail))


def repair(product: str, doors: Doors) -> Repaired:
    """Make the registry agree with the journal and with what serves. No traffic moves, no server starts or ends.

    Raises `Busy` while a rollout is carried: its end writes the names itself. Safe to repeat.
    """
    carried, holder = under_way(product, doors.journal), doors.journal.holder(product, doors.clock.now())
    if carried is not None and holder is not None:
        raise Busy(
            f"{product}: a rollout of v{carried.candidate} is under way (process {holder.pid} on {holder.place} "
            f"carries it), and writes the names itself when it ends: `seatrial watch {product}`, then repair what "
            "still differs"
        )
    lease = hold(product, doors)
    with lease_released_after(lease, doors):
        known = {str(run) for event in doors.journal.events(product) if (run := event.detail.get("mlflow_run"))}
        back = doors.registry.bring_back(product, sorted(known))
        wanted = desired_registry_of(product, doors)
        changed = (*back, *_sealed_again(product, doors), *doors.registry.repair(product, wanted))
        found = Repaired(product, wanted.champion, changed, doors.registry.differences(product, wanted))
        detail = {"seen": "; ".join(changed) or "nothing to change", "left": list(found.left)}
        doors.journal.record(Event(product, "", doors.clock.now(), "registry.repaired", detail))
        return found


def _sealed_again(product: str, doors: Doors) -> Iterator[str]:
    """Seals whatever the journal knows to be Seatrial's: its key was lost, or it is from before there were seals."""
    events = doors.journal.events(product)
    for each in doors.registry.versions(product):
        known = registration_of(events, each.version) if each.doubt else None
        if known is None:
            continue
        if why := doors.registry.reseal(product, each.version, known.run, known.seal, doors.models):
            yield f"v{each.version} is sealed again: {why}"
