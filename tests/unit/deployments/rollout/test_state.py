"""The table of phases, tried exhaustively."""

from datetime import UTC, datetime
from itertools import product

import pytest

from deployments.rollout.decide import Finish, Nothing, Perform, Restore, decide
from deployments.rollout.state import MOVES, ImpossibleMoveError, Phase, RolloutState
from deployments.rollout.steps import Launch, Promote, Reinstate, Retire, Shift, Step, Verify, from_json, to_json
from deployments.traffic import Weights

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STEPS: tuple[Step, ...] = (Launch(2, 3), Verify(2), Shift(Weights({1: 25, 2: 75})), Promote(2), Retire(1))


def state(phase: Phase = Phase.RUNNING, done: int = 0) -> RolloutState:
    return RolloutState("r1", "flights", 2, 1, "rolling", STEPS, done, phase, "", NOW, NOW)


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_only_moves_of_the_table_are_possible(before: Phase, after: Phase) -> None:
    if after in MOVES[before]:
        assert state(before).with_phase(after, "because", NOW).phase is after
    else:
        with pytest.raises(ImpossibleMoveError):
            state(before).with_phase(after, "because", NOW)


def reachable(start: Phase) -> set[Phase]:
    seen, open_ = set[Phase](), [start]
    while open_:
        phase = open_.pop()
        if phase not in seen:
            seen.add(phase)
            open_.extend(MOVES[phase])
    return seen


@pytest.mark.parametrize("phase", [phase for phase in Phase if MOVES[phase]])
def test_every_live_phase_reaches_an_end_and_rolled_back(phase: Phase) -> None:
    assert {Phase.ROLLED_BACK, Phase.ABANDONED} <= reachable(phase)


@pytest.mark.parametrize(("phase", "done"), list(product(Phase, range(len(STEPS) + 1))))
def test_decide_is_total(phase: Phase, done: int) -> None:
    action = decide(state(phase, done))
    match phase:
        case Phase.RUNNING:
            assert action == (Perform(done) if done < len(STEPS) else Finish())
        case Phase.RESTORING:
            assert action == Restore()
        case _:
            assert action == Nothing()


@pytest.mark.parametrize("step", [*STEPS, Reinstate(1)], ids=str)
def test_a_step_reads_back_equal_from_the_journal(step: Step) -> None:
    assert from_json(to_json(step)) == step


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(KeyError):
        from_json({"step": "teleport", "version": 1})
