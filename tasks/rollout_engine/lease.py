"""The lease on a product: who may change its traffic now, and from where."""

from contextlib import suppress
from datetime import timedelta

from deployments.errors import Busy, SeatrialError
from deployments.journals.protocol import Journal, Lease
from deployments.platform_identity import id_of, is_elsewhere
from deployments.process_identity import this_process
from deployments.rollout.state import RolloutState
from deployments.spec import RolloutSection
from deployments.wiring import Doors

# Renewed while its holder works: one that is killed where nobody can see it is followed within a minute or two.
LEASE = timedelta(seconds=60)
# A holder that has not come to its next step by then, beside what a spec lets one step wait for, hangs.
SILENCE = timedelta(minutes=10)


def under_way(product: str, journal: Journal) -> RolloutState | None:
    """The product's rollout that has not ended; None: there is none."""
    return next((state for state in journal.rollouts(product) if state.live), None)


def is_ours(product: str, doors: Doors) -> bool:
    """Whether this process has the lease on the product."""
    return doors.journal.holder(product, doors.clock.now()) == this_process()


def hold(product: str, doors: Doors, section: RolloutSection | None = None) -> Lease:
    """The lease on the product for this process; renewed if it has it already.

    It is kept for whatever `section` lets one step wait for; None: the step that follows waits for nothing.
    """
    waits = section.ready_timeout + 2 * section.drain_timeout + section.analysis.interval if section else timedelta(0)
    lease = doors.journal.acquire(product, this_process(), doors.clock.now(), LEASE)
    last = doors.last_lease(product)
    if (last is None or last.token != lease.token) and (newest := _newest_token(product, doors)) > lease.token:
        lease = doors.journal.acquire(product, this_process(), doors.clock.now(), LEASE, above=newest)
    doors.keep(lease, LEASE, SILENCE + waits)
    return lease


def _newest_token(product: str, doors: Doors) -> int:
    """Which token routers and servers were shown by now: a journal that began anew, by a late clock, begins above it.

    Whoever has the lease by the journal has it; who does not answer now refuses later, at worst.
    """
    newest = 0
    for door in (doors.router, doors.target):
        with suppress(SeatrialError):
            newest = max(newest, door.newest_token(product))
    return newest


def check_place(state: RolloutState, doors: Doors) -> None:
    """Raises `Busy` if the rollout's servers are those of another platform, which has the same journal."""
    if is_elsewhere(state.place, doors.place):
        raise Busy(
            f"{state.product}: the servers of its rollout of v{state.candidate} are those of {state.place}, and this "
            f"is {doors.place}: run `seatrial up` there to carry it on, or `seatrial abort {state.product}`; if that "
            f"machine is gone for good, run this command with SEATRIAL_PLACE={id_of(state.place)}"
        )
