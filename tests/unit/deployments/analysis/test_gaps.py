"""Requests of unknown users: what one of them may have met is no proof, what goes beyond is."""

from dataclasses import replace

import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts
from deployments.analysis.gaps import allowed_for
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection
from tests.unit.deployments.analysis.blocks import INTERVAL, START

RULES = AnalysisSection()
BUCKETS = len(LATENCY_BOUNDS_MS) + 1
QUICK, SLOW, SECOND = 4, 12, 14


def times(count: int, bucket: int) -> tuple[int, ...]:
    return tuple(count if each == bucket else 0 for each in range(BUCKETS))


def gap(candidate: Counts, stable: Counts | None = None) -> Block:
    stable = stable or Counts(1900, 2, times(1900, QUICK))
    return Block(START, START + INTERVAL, 0, 0.05, stable, candidate, trusted=False, unknown=candidate.requests)


def known(block: Block) -> Block:
    """As if every request were a user's own."""
    return replace(block, unknown=0)


def failing(bad: int) -> Block:
    return gap(Counts(100, bad, times(100 - bad, QUICK)))


def hanging(bad: int) -> Block:
    return gap(Counts(100, 0, times(100 - bad, QUICK), given_up=times(bad, SECOND)))


def slow(bad: int) -> Block:
    return gap(Counts(100, 0, tuple(map(sum, zip(times(100 - bad, QUICK), times(bad, SLOW), strict=True)))))


@pytest.mark.parametrize("kind", [failing, hanging, slow])
def test_one_busy_user_of_a_gap_rolls_nobody_back_and_what_many_meet_does(kind: object) -> None:
    assert callable(kind)
    for bad, ruling in ((12, Ruling.CONTINUE), (40, Ruling.ROLL_BACK)):
        assert judge([kind(bad)] * 30, RULES).ruling is ruling
    assert judge([known(kind(12))] * 30, RULES).ruling is Ruling.ROLL_BACK, "the test can tell the difference"


def test_a_user_may_come_in_a_burst() -> None:
    burst = [*[failing(0)] * 9, failing(95)]
    assert judge(burst, RULES).ruling is Ruling.CONTINUE
    assert judge([known(block) for block in burst], RULES).ruling is Ruling.ROLL_BACK


def test_an_outage_of_the_candidate_in_a_gap_is_seen_at_once() -> None:
    for block in (failing(100), hanging(100)):
        assert judge([block], RULES).ruling is Ruling.ROLL_BACK


def test_harm_that_was_proved_before_a_gap_stays_proved() -> None:
    before = [replace(known(failing(30)), trusted=True)] * 3
    assert judge(before, RULES).ruling is Ruling.ROLL_BACK
    assert judge([*before, *[failing(0)] * 5], RULES).ruling is Ruling.ROLL_BACK


def test_what_is_allowed_for_is_used_up_once() -> None:
    first, second, third = allowed_for([failing(20), failing(0), failing(40)], 0.15)
    assert [block.candidate.errors for block in (first, second, third)] == [5, 0, 10]
    assert sum(first.candidate.latency) == 80
    assert first.stable == failing(0).stable
    left = allowed_for([hanging(20)], 0.15)[0].candidate
    assert (left.requests, left.errors, sum(left.given_up)) == (100, 0, 5)
    assert sum(allowed_for([slow(20)], 0.15)[0].candidate.latency[SLOW:]) == 5


def test_a_gap_says_nothing_of_predictions_and_other_blocks_are_as_they_were() -> None:
    predicting = gap(Counts(100, predictions={"yes": 100.0}))
    assert not allowed_for([predicting], 0.15)[0].candidate.predictions
    assert allowed_for([known(predicting), failing(3)], 0.15)[0] == known(predicting)
    blocks = [known(failing(3))]
    assert allowed_for(blocks, 0.15) is blocks
