"""Telling what is waited for while it is waited: on the terminal, in the log of the run and in its name."""

from dataclasses import dataclass, field, replace
from typing import Final

from deployments.clock import Clock
from deployments.errors import SeatrialError
from deployments.journals.protocol import Journal
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.wait_conditions import waiting
from deployments.wiring import Doors
from tasks.operator_log import tell
from tasks.prefect_runs import name_present_run
from tasks.rollout_engine.lease import under_way
from tasks.rollout_engine.wait_reminders import AT_ONCE, SOON, Reminder, SpeakingClock

# What the name of a run says of a wait that only a person, or traffic, can end.
_NAMED: Final = {Phase.HOLDING: "held", Phase.WAITING: "asks a person", Phase.PAUSED: "paused"}


@dataclass(slots=True)
class Speaker:
    """Tells what the rollout in `state` waits for: at once where it is watched, else if it takes longer than usual."""

    clock: Clock
    state: RolloutState
    _reminder: Reminder = field(default_factory=Reminder)
    _named: str = ""

    def speak(self) -> None:
        """To be called often; says something only when it is time for it."""
        state, found = self.state, waiting(self.state)
        schedule = AT_ONCE if state.watched else SOON
        if found is None or not self._reminder.due((state.phase, state.done), self.clock.monotonic(), schedule):
            return
        now = self.clock.now()
        tell(
            "rollout.waiting",
            waits_for=found.what,
            since=f"{found.since:%H:%M:%S} UTC",
            ends=found.ends(now),
            ended_by=", ".join(f"`{command}`" for command in found.commands),
        )
        self._name(_NAMED.get(state.phase, ""))

    def fall_silent(self) -> None:
        """The wait is over: the run's name says so."""
        self._name("")

    def _name(self, wait: str) -> None:
        if wait != self._named:
            self._named = wait
            name_present_run(f"{self.state.product} v{self.state.candidate} rollout{f': {wait}' if wait else ''}")


def telling_of_queue(product: str, run_id: str, doors: Doors) -> Doors:
    """The same doors, by whose clock it is told what a run of the product that waits for its turn waits for."""
    reminder = Reminder()

    def speak() -> None:
        if not reminder.due("a turn", doors.clock.monotonic(), SOON):
            return
        try:
            other = under_way(product, doors.journal)
        except SeatrialError:
            return
        found = waiting(other) if other is not None and other.rollout_id != run_id else None
        if other is None or found is None:
            tell("rollout.waiting", waits_for="the champion's servers and routes to be put right")
            return
        tell(
            "rollout.waiting",
            waits_for=f"the rollout of v{other.candidate} to end",
            phase=other.phase,
            which_waits_for=found.what,
            ends=found.ends(doors.clock.now()),
            ended_by=f"`seatrial abort {product}`" if found.orders else "",
        )

    return replace(doors, clock=SpeakingClock(doors.clock, speak))


def telling_of_order(product: str, journal: Journal, clock: Clock) -> Clock:
    """A clock by which it is told what a rollout does that was given an order and has not come to it yet."""
    reminder = Reminder()

    def speak() -> None:
        if not reminder.due("an answer", clock.monotonic(), SOON):
            return
        state = under_way(product, journal)
        if state is not None and (found := waiting(state)) is not None:
            tell("order.waiting", waits_for=f"the step under way to end, and that for {found.what}")

    return SpeakingClock(clock, speak)
