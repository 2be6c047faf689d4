"""A product taken off the air: no route, no servers. What is known of it stays, and a release brings it back."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

from deployments.errors import BadInput, NotFound
from deployments.journals.protocol import Event, Journal
from deployments.process_identity import this_process
from deployments.spec import RolloutSection
from deployments.wiring import Doors
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.patience import retried_for_a_minute
from tasks.secondary_errors import lease_released_after

REMOVING: Final = "product.removing"
REMOVED: Final = "product.removed"


def take_off_the_air(
    product: str, section: RolloutSection, doors: Doors, who: str, reason: str = ""
) -> tuple[int, ...]:
    """Take the product's route away, let its servers finish what they are answering, and stop them; their versions.

    No other product is touched. Killed anywhere in between, a repeated call finishes it. Raises `NotFound` for a
    product that never served here, `BadInput` while a rollout of it is under way, `Busy` while somebody else changes
    its traffic.
    """
    check_removable(product, doors)
    lease = hold(product, doors, section)
    with lease_released_after(lease, doors):
        check_removable(product, doors)  # one may have begun before the lease was had
        own, facts = doors.under(lease), {"who": who, "reason": reason}
        _note(product, REMOVING, facts, doors)
        retried_for_a_minute(lambda: own.router.remove(product), doors)
        versions = retried_for_a_minute(lambda: own.target.versions(product), doors)
        for version in versions:
            hold(product, doors, section)  # each may drain for long
            retried_for_a_minute(partial(own.target.retire, product, version, section.drain_timeout), doors)
        _note(product, REMOVED, facts | {"versions": list(versions)}, doors)
    return versions


def check_removable(product: str, doors: Doors) -> None:
    """Raises as `take_off_the_air` does, without changing anything."""
    rollouts = doors.journal.rollouts(product)
    if not rollouts and doors.router.read(product) is None and not doors.target.versions(product):
        raise NotFound(f"{product!r} was never released here: `seatrial products` shows what was")
    if rollouts and rollouts[0].live:
        raise BadInput(
            f"the rollout of {product} v{rollouts[0].candidate} is under way: `seatrial abort {product}` ends it, then "
            "remove the product"
        )


def removed_at(product: str, since: datetime, journal: Journal) -> datetime | None:
    """When the product was taken off the air, if that was after `since`, the last change of its newest rollout."""
    found = [event.at for event in journal.events(product) if event.kind == REMOVED and event.at >= since]
    return found[-1] if found else None


def _note(product: str, kind: str, facts: Mapping[str, object], doors: Doors) -> None:
    doors.journal.record(Event(product, str(this_process()), doors.clock.now(), kind, facts))
