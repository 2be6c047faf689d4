"""What is true of one rollout. The journal keeps it; nothing about it is ever inferred from a counter or a zero."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from deployments.rollout.steps import Step


class Phase(StrEnum):
    """Where a rollout is."""

    RUNNING = "running"
    RESTORING = "restoring"  # given up; the champion is being put back
    DONE = "done"
    ROLLED_BACK = "rolled_back"
    ABANDONED = "abandoned"  # its process died, and a later run put the champion back


MOVES = MappingProxyType(
    {
        Phase.RUNNING: frozenset({Phase.RUNNING, Phase.RESTORING, Phase.DONE, Phase.ABANDONED}),
        Phase.RESTORING: frozenset({Phase.RESTORING, Phase.ROLLED_BACK, Phase.ABANDONED}),
        Phase.DONE: frozenset[Phase](),
        Phase.ROLLED_BACK: frozenset[Phase](),
        Phase.ABANDONED: frozenset[Phase](),
    }
)


class ImpossibleMoveError(Exception):
    """A phase change that the table does not allow: a defect of ours, never of the user's."""


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One rollout. `done` counts the steps whose outcome was written; `former` is the champion before, or None."""

    rollout_id: str
    product: str
    candidate: int
    former: int | None
    strategy: str
    steps: tuple[Step, ...]
    done: int
    phase: Phase
    reason: str
    started_at: datetime
    updated_at: datetime

    @property
    def live(self) -> bool:
        """Whether anything is still to be done."""
        return bool(MOVES[self.phase])

    def with_step_done(self, at: datetime) -> "RolloutState":
        """One more step's outcome is known."""
        return self._moved(Phase.RUNNING, at, done=self.done + 1)

    def with_phase(self, phase: Phase, reason: str, at: datetime) -> "RolloutState":
        """The rollout entered `phase` because of `reason`. Raises `ImpossibleMoveError` if the table forbids it."""
        return self._moved(phase, at, reason=reason)

    def _moved(
        self, phase: Phase, at: datetime, *, done: int | None = None, reason: str | None = None
    ) -> "RolloutState":
        if phase not in MOVES[self.phase]:
            raise ImpossibleMoveError(f"rollout {self.rollout_id}: {self.phase.value} → {phase.value} is no move")
        return replace(
            self,
            phase=phase,
            done=self.done if done is None else done,
            reason=self.reason if reason is None else reason,
            updated_at=at,
        )
