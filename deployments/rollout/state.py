"""What is true of one rollout. The journal keeps it; nothing about it is ever inferred from a counter or a zero."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

from deployments.rollout.steps import Approve, Observe, Retire, Shift, Step
from deployments.spec import RolloutSection


class Phase(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"  # a step that acts is next
    OBSERVING = "observing"  # the candidate is watched
    HOLDING = "holding"  # there is nothing trustworthy to judge by: weights stand still, the clock is stopped
    WAITING = "waiting"  # a person is asked
    PAUSED = "paused"  # a person said so
    RESTORING = "restoring"  # given up; the champion is being put back
    DONE = "done"
    ROLLED_BACK = "rolled_back"


_WATCHED = frozenset({Phase.OBSERVING, Phase.HOLDING, Phase.WAITING, Phase.PAUSED})
_ANYWHERE = frozenset({Phase.RUNNING, *_WATCHED, Phase.RESTORING})

MOVES = MappingProxyType(
    {
        Phase.RUNNING: frozenset({Phase.RUNNING, Phase.OBSERVING, Phase.WAITING, Phase.PAUSED})
        | {Phase.RESTORING, Phase.DONE},
        Phase.OBSERVING: _ANYWHERE,
        Phase.HOLDING: _ANYWHERE,
        Phase.WAITING: frozenset({Phase.RUNNING, Phase.OBSERVING, Phase.WAITING, Phase.PAUSED, Phase.RESTORING}),
        Phase.PAUSED: _ANYWHERE,
        # Done, where the first champion of all was crowned before: there is nobody to put back.
        Phase.RESTORING: frozenset({Phase.RESTORING, Phase.ROLLED_BACK, Phase.DONE}),
        Phase.DONE: frozenset[Phase](),
        Phase.ROLLED_BACK: frozenset[Phase](),
    }
)


class ImpossibleMoveError(Exception):
    """A phase change that the table does not allow: a defect of ours, never of the user's."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One rollout.

    `done` counts the steps whose outcome was written; `former` is the champion before, or None. `reason` says why the
    rollout is in its phase. `entered_at` is when the present step began, later by the time in which nobody watched it;
    `observed` how much healthy time of it was seen (holds and pauses do not count). `orders_done` is the number of the
    last order that was dealt with. `carries` names an earlier rollout of the same versions whose evidence counts here,
    None for none. `place` is the one platform whose servers it has, empty where any runner reaches them. `phase_since`
    is when this step came into this phase; None in states of an older Seatrial.
    """

    rollout_id: str
    product: str
    candidate: int
    former: int | None
    strategy: str
    section: RolloutSection
    steps: tuple[Step, ...]
    done: int
    phase: Phase
    reason: str
    started_at: datetime
    updated_at: datetime
    entered_at: datetime
    observed: timedelta = timedelta(0)
    orders_done: int = 0
    carries: str | None = None
    place: str = ""
    phase_since: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether anything is still to be done."""
        return bool(MOVES[self.phase])

    @property
    def watched(self) -> bool:
        """Whether the rollout waits, with the candidate looked at meanwhile."""
        return self.phase in _WATCHED

    @property
    def decided(self) -> bool:
        """Whether only clearing up is left: what fails from here on is no reason to put the former champion back."""
        return all(isinstance(step, Retire) for step in self.steps[self.done :])

    @property
    def step(self) -> Step | None:
        """The step that is next or under way; None after the last."""
        return self.steps[self.done] if self.done < len(self.steps) else None

    @property
    def split(self) -> Shift | None:
        """How traffic should flow now by this plan; None before its first shift."""
        return next((step for step in reversed(self.steps[: self.done]) if isinstance(step, Shift)), None)

    @property
    def exposed(self) -> bool:
        """Whether requests, or copies of them, go to the candidate by this plan, with a champion to be compared to."""
        return self.former is not None and self.split is not None and self.split.asks(self.candidate)

    def with_step_done(self, at: datetime, reason: str = "") -> "RolloutState":
        """One more step's outcome is known; the phase is the one that the next step calls for."""
        advanced = replace(self, done=self.done + 1, entered_at=at, observed=timedelta(0))
        return self._moved_to(replace(advanced, phase=_phase_of(advanced.step), reason=reason), at)

    def with_steps(self, remaining: tuple[Step, ...], reason: str, at: datetime) -> "RolloutState":
        """The rest of the plan is replaced by `remaining`."""
        changed = replace(self, steps=self.steps[: self.done] + remaining, entered_at=at, observed=timedelta(0))
        return self._moved_to(replace(changed, phase=_phase_of(changed.step), reason=reason), at)

    def with_phase(self, phase: Phase, reason: str, at: datetime) -> "RolloutState":
        """The rollout entered `phase` because of `reason`. Raises `ImpossibleMoveError` if the table forbids it."""
        return self._moved_to(replace(self, phase=phase, reason=reason), at)

    def with_resumed(self, reason: str, at: datetime) -> "RolloutState":
        """Back from a pause to the phase that the present step calls for; its deadline counts anew."""
        return self._moved_to(replace(self, phase=_phase_of(self.step), reason=reason, entered_at=at), at)

    def with_observed(self, healthy: timedelta, reason: str, at: datetime) -> "RolloutState":
        """So much more healthy time was seen."""
        return self._moved_to(replace(self, phase=Phase.OBSERVING, observed=self.observed + healthy, reason=reason), at)

    def with_order(self, number: int) -> "RolloutState":
        """The order was dealt with."""
        return replace(self, orders_done=number)

    def _moved_to(self, after: "RolloutState", at: datetime) -> "RolloutState":
        if after.phase not in MOVES[self.phase]:
            raise ImpossibleMoveError(f"rollout {self.rollout_id}: {self.phase.value} → {after.phase.value} is no move")
        since = self.phase_since if (after.phase, after.done) == (self.phase, self.done) else at
        return replace(after, updated_at=at, phase_since=since)


def _phase_of(step: Step | None) -> Phase:
    if isinstance(step, Observe):
        return Phase.OBSERVING
    return Phase.WAITING if isinstance(step, Approve) else Phase.RUNNING
