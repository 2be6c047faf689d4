"""What every part of the engine does beside its work: hold the lease, write the history, wait for what is away."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Final, TypeVar

from deployments.analysis.verdict import Verdict
from deployments.errors import Busy, DiskFull, RolloutFailed, SeatrialError, TryAgain
from deployments.journals.protocol import Event, Journal, Lease
from deployments.platform_identity import id_of, is_elsewhere
from deployments.process_identity import this_process
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import RolloutSection
from deployments.wiring import Doors
from tasks.rollouts.evidence import own
from tasks.rollouts.journal_outage import JournalAwayError, telling
from tasks.rollouts.traffic_rollback import give_back

T = TypeVar("T")
# Why the run was cancelled, or None.
Stop = Callable[[], str | None]
# Renewed while its holder works: one that is killed where nobody can see it is followed within a minute or two.
LEASE = timedelta(seconds=60)
# A holder that has not come to its next step by then, beside what a spec lets one step wait for, hangs.
SILENCE = timedelta(minutes=10)
# How long a part that does not answer (a gateway that is being restarted) is waited for before a step is given up.
PATIENCE = timedelta(seconds=60)
GLANCE = timedelta(seconds=0.5)
# On the way back logs give way to what has to be written.
ON_THE_WAY_BACK: Final = (TryAgain, DiskFull)


def nobody_stops() -> str | None:
    """A `Stop` where nobody can cancel."""
    return None


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


def note(state: RolloutState, kind: str, doors: Doors, **detail: object) -> None:
    """Append to the product's history."""
    facts = {"candidate": state.candidate, "reason": state.reason} | detail
    doors.journal.record(Event(state.product, state.rollout_id, doors.clock.now(), kind, facts))


def note_verdict(state: RolloutState, verdict: Verdict, doors: Doors) -> None:
    """Append a verdict with all that it rests on; `blocks` says how much of the evidence it had seen."""
    note(
        state,
        "rollout.judged",
        doors,
        ruling=verdict.ruling.value,
        why=verdict.reason,
        phase=state.phase.value,
        findings=[asdict(finding) for finding in verdict.findings],
        blocks=len(own(state, doors.journal)),
    )


def patiently(act: Callable[[], T], doors: Doors, passing: tuple[type[SeatrialError], ...] = (TryAgain,)) -> T:
    """What `act` returns; while a part of the platform does not answer it is repaired and asked again, up to a minute.

    Raises the last error of the kinds in `passing` after that, and every other one at once.
    """
    until = doors.clock.monotonic() + PATIENCE.total_seconds()
    while True:
        try:
            return act()
        except passing:
            if doors.clock.monotonic() >= until:
                raise
        doors.clock.sleep(GLANCE)
        try:
            doors.repair()
        except SeatrialError:
            continue


def give_up(state: RolloutState, reason: str, doors: Doors) -> RolloutState:
    """From here on the rollout only puts the champion back. A rollout that is over is returned as it is.

    Users are given back first. Where the journal does not take the decision it is returned all the same: whoever
    carries the rollout on with that state writes it down (see `Carrier.advance`). Raises `Busy` for another's rollout.
    """
    if not state.live or state.phase is Phase.RESTORING:
        return state
    state = state.with_phase(Phase.RESTORING, reason, doors.clock.now())
    give_back(state, doors)
    doors = replace(doors, journal=telling(doors.journal))
    with suppress(JournalAwayError):
        doors.journal.save(state, hold(state.product, doors))
        note(state, "rollout.given_up", doors)
    return state


def give_up_for(error: BaseException, state: RolloutState, doors: Doors) -> RolloutState:
    """`give_up` because of `error`. Where only clearing up is left a failure changes nothing: it is tried again."""
    if state.decided and isinstance(error, Exception):
        return state
    return give_up(state, explain(error), doors)


def so_far(state: RolloutState, error: Exception, *, users_are_back: bool) -> str:
    """The reason of a rollout on its way back, while something is still left to do of it."""
    return f"{cause_of(state)}{_back(state) if users_are_back else _not_back(state)}{error}"


def cause_of(state: RolloutState) -> str:
    """Why it was given up, without what is still left to do."""
    return state.reason.partition(_back(state))[0].partition(_not_back(state))[0]


def _back(state: RolloutState) -> str:
    return f"; v{state.former} has all traffic again, the rest follows: "


def _not_back(state: RolloutState) -> str:
    return f"; v{state.former} has not all traffic yet: "


def outcome(state: RolloutState) -> RolloutState:
    """The state of a rollout that succeeded; `RolloutFailed` with its reason for one that did not."""
    if state.phase is Phase.DONE:
        return state
    raise RolloutFailed(
        f"{state.product} v{state.candidate} was not rolled out: {state.reason}. "
        f"{f'v{state.former} serves as before' if state.former else 'Nothing is served, as before'}."
    )


def not_retired(version: int, error: SeatrialError) -> str:
    """What is told of servers that have no traffic and did not go."""
    return f"v{version} is not retired yet ({error}); the next release or rollback clears it up"


def explain(error: BaseException) -> str:
    """Why a step was given up, in one line for the journal."""
    if isinstance(error, SeatrialError):
        return str(error)
    kind = type(error).__name__
    return f"{kind}: {error}".rstrip(": ") if isinstance(error, Exception) else f"interrupted ({kind})"
