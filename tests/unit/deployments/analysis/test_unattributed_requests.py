"""Requests of unknown users: what one of them may have met is no proof, what goes beyond is."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.analysis.block_counts import Unit, errors
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts
from deployments.analysis.judge import judge
from deployments.analysis.unattributed_requests import with_gap_harm
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection, MetricRule
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
    blocks = [failing(20), failing(0), known(failing(40)), failing(40)]
    counted = with_gap_harm(errors(blocks, Unit.REQUEST, 1.0), blocks, 0.15)
    assert counted.candidate_bad == pytest.approx([5, 0, 40, 10])
    assert counted.candidate == pytest.approx([100] * 4)
    assert counted.stable_bad == pytest.approx([2] * 4)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12))
def test_no_more_is_counted_than_went_badly_for_others(blocks: list[tuple[int, int, int]]) -> None:
    """Of each block: what went well, what went badly for others, and what one party sent, all of which did."""
    asked = np.cumsum([sum(each) for each in blocks])
    sent = np.diff(np.minimum(np.cumsum([each[2] for each in blocks]), asked // 7), prepend=0)
    sent = np.clip(sent, 0, [each[2] for each in blocks])
    counts = [
        gap(Counts(good + others + party, others + int(most)))
        for (good, others, party), most in zip(blocks, sent, strict=True)
    ]
    seen = with_gap_harm(errors(counts, Unit.REQUEST, 1.0), counts, 0.15).candidate_bad
    others = np.cumsum([each[1] for each in blocks])
    assert (np.cumsum(seen) <= others + 1e-6).all()
    assert (seen >= 0).all()


def test_bursts_of_slow_answers_are_allowed_for_as_failures_are() -> None:
    burst = [*[slow(0)] * 9, slow(90)]
    assert judge(burst, RULES).ruling is Ruling.CONTINUE
    assert judge([known(block) for block in burst], RULES).ruling is Ruling.ROLL_BACK


def test_a_gap_says_nothing_of_predictions_and_other_blocks_are_as_they_were() -> None:
    rules = AnalysisSection(metrics=(MetricRule(metric="predictions", margin=0.5),))
    usual = known(gap(Counts(100, predictions={"yes": 100.0}), Counts(1900, predictions={"yes": 1900.0})))
    other = gap(Counts(100, predictions={"no": 100.0}), Counts(1900, predictions={"yes": 1900.0}))
    assert judge([usual, *[other] * 9], rules).ruling is not Ruling.ROLL_BACK
    assert judge([usual, *[known(other)] * 9], rules).ruling is Ruling.ROLL_BACK
    blocks = [known(failing(3))]
    arms = errors(blocks, Unit.REQUEST, 1.0)
    assert with_gap_harm(arms, blocks, 0.15) is arms


def test_a_finding_says_that_something_was_allowed_for() -> None:
    reason = judge([hanging(100)], RULES).reason
    assert "beyond 15 % of 100 requests that may all be one user's" in reason
    assert "one user" not in judge([known(hanging(100))], RULES).reason
