"""The table of phases, tried exhaustively."""

from itertools import product

import pytest

from deployments.rollout.state import MOVES, ImpossibleMoveError, Phase
from deployments.rollout.steps import Shift, Step, from_json, to_json
from deployments.traffic import Match, Mirror, Weights
from tests.unit.deployments.rollout.a_rollout import EVERY_KIND, NOW, SPLIT, STEPS, rollout


@pytest.mark.parametrize(("before", "after"), list(product(Phase, Phase)))
def test_only_moves_of_the_table_are_possible(before: Phase, after: Phase) -> None:
    if after in MOVES[before]:
        assert rollout(before).with_phase(after, "because", NOW).phase is after
    else:
        with pytest.raises(ImpossibleMoveError):
            rollout(before).with_phase(after, "because", NOW)


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
    assert Phase.ROLLED_BACK in reachable(phase)
    assert phase is Phase.RESTORING or Phase.DONE in reachable(phase)


def test_the_split_is_that_of_the_last_shift_that_was_done() -> None:
    assert [rollout(done=done).split for done in range(5)] == [None, None, None, SPLIT, SPLIT]
    assert rollout(done=len(STEPS)).split == STEPS[5]


@pytest.mark.parametrize("step", EVERY_KIND, ids=str)
def test_a_step_reads_back_equal_from_the_journal(step: Step) -> None:
    assert from_json(to_json(step)) == step


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(KeyError):
        from_json({"step": "teleport", "version": 1})


def test_what_fails_while_only_servers_are_to_be_retired_decides_nothing() -> None:
    assert [done for done in range(len(STEPS) + 1) if rollout(done=done).decided] == [len(STEPS) - 1, len(STEPS)]


@pytest.mark.parametrize(
    ("split", "asked"),
    [
        (Shift(Weights.all_to(1)), False),
        (Shift(Weights({1: 99, 2: 1})), True),
        (Shift(Weights.all_to(1), (Match(2, "b", cookie="group"),)), True),
        (Shift(Weights.all_to(1), mirror=Mirror(2, 5)), True),
    ],
)
def test_a_version_is_asked_by_weight_by_match_or_by_copies(split: Shift, asked: bool) -> None:
    assert split.asks(2) is asked
