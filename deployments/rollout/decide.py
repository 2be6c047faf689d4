"""What comes next in a rollout: pure and total."""

from dataclasses import dataclass
from typing import assert_never

from deployments.rollout.state import Phase, RolloutState


@dataclass(frozen=True, slots=True)
class Perform:
    """Carry out the step at `position` of the plan."""

    position: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Every step is done: close the rollout."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Put the champion back, then close the rollout as rolled back."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The rollout is over."""


Action = Perform | Finish | Restore | Nothing


def decide(state: RolloutState) -> Action:
    """The one action that `state` calls for. Doing it again after a crash does no harm."""
    match state.phase:
        case Phase.RUNNING:
            return Perform(state.done) if state.done < len(state.steps) else Finish()
        case Phase.RESTORING:
            return Restore()
        case Phase.DONE | Phase.ROLLED_BACK | Phase.ABANDONED:
            return Nothing()
        case _:
            assert_never(state.phase)
