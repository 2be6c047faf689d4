from collections.abc import Sequence
from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.analysis import block_counts
from deployments.analysis.block_counts import BUCKETS, Unit
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Pairs, Sums
from deployments.analysis.judge import bound_on_harm, judge
from deployments.analysis.sample_ratio_mismatch import mismatch
from deployments.analysis.verdict import Nearly, Ruling, Verdict
from deployments.spec import AnalysisSection, MetricRule
from tests.unit.deployments.analysis.blocks import (
    block,
    blocks_of_users,
    errors,
    latency,
    repeated,
    some_blocks,
    traffic,
)

ERRORS = MetricRule(metric="error_rate", margin=0.01, limit=0.1, prove=True)
EVERY = AnalysisSection(
    metrics=(
        ERRORS,
        MetricRule(metric="latency", margin=1.0, limit=500),
        MetricRule(metric="predictions", margin=0.5),
        MetricRule(metric="disagreement", margin=0.1, limit=0.3, prove=True),
        MetricRule(metric="accuracy", margin=0.1, prove=True),
        MetricRule(metric="feedback.value", margin=0.05, prove=True),
    )
)


def _rules(*rules: MetricRule) -> AnalysisSection:
    return AnalysisSection(metrics=rules)


def _numbers(verdict: Verdict) -> list[float]:
    return [
        number
        for found in verdict.findings
        for number in (found.stable, found.candidate, found.low, found.high, found.harm, found.safe)
        if number is not None
    ]


def test_without_blocks_it_continues() -> None:
    assert judge([], EVERY).ruling is Ruling.CONTINUE
    assert judge([], _rules(MetricRule(metric="latency", margin=1.0))).ruling is Ruling.CONTINUE


def test_ten_times_the_errors_roll_back() -> None:
    verdict = judge(repeated(errors((2, 475), (3, 25), 0.05), 6), _rules(ERRORS))
    assert verdict.ruling is Ruling.ROLL_BACK
    assert "18 of 150 against 12 of 2,850 (12 % against 0.42 %); harm proved" in verdict.reason


def test_equal_errors_promote_once_the_margin_is_proved() -> None:
    calm = [errors((2, 450), (0, 50), 0.1), errors((2, 450), (0, 50), 0.1), errors((3, 450), (1, 50), 0.1)]
    assert judge(calm, _rules(ERRORS)).ruling is Ruling.CONTINUE
    verdict = judge([*calm, *repeated(calm[0], 30)], _rules(ERRORS))
    assert verdict.ruling is Ruling.PROMOTE
    assert "proved not worse than 1 % more" in verdict.reason


def test_an_open_question_says_how_much_more_traffic_it_takes() -> None:
    few = judge(repeated(errors((2, 450), (0, 50), 0.1), 3), _rules(ERRORS)).findings[0]
    assert few.still_needed is not None
    more = judge(repeated(errors((2, 450), (0, 50), 0.1), 6), _rules(ERRORS)).findings[0]
    assert more.still_needed is None or more.still_needed < few.still_needed
    assert "more requests" in few.sentence


def test_a_broken_limit_rolls_back_even_if_the_champion_is_as_bad() -> None:
    verdict = judge(repeated(errors((100, 500), (100, 500), 0.5), 3), _rules(ERRORS))
    assert verdict.ruling is Ruling.ROLL_BACK
    assert "limit 10 % broken" in verdict.reason


def test_a_wrong_split_holds_what_is_not_proved_harmful() -> None:
    verdict = judge(repeated(errors((2, 500), (2, 500), 0.05), 3), _rules(ERRORS))
    assert verdict.ruling is Ruling.HOLD
    assert "1,500 of 3,000 requests (50 %)" in verdict.reason


def test_a_wrong_split_never_stops_a_rollback() -> None:
    seen = repeated(errors((2, 880), (10, 120), 0.05), 30)
    assert mismatch(seen, AnalysisSection().split_tolerance)
    verdict = judge(seen, AnalysisSection())
    assert verdict.ruling is Ruling.ROLL_BACK
    assert "300 of 3,600 against 60 of 26,400 (8.33 % against 0.23 %); harm proved" in verdict.reason


def test_a_broken_limit_rolls_back_whatever_the_split() -> None:
    assert judge(repeated(errors((2, 500), (400, 500), 0.05), 3), _rules(ERRORS)).ruling is Ruling.ROLL_BACK


def test_a_dry_run_shows_harm_and_decides_nothing() -> None:
    dry = replace_rule(ERRORS, dry_run=True)
    latency_rule = MetricRule(metric="latency", margin=1.0)
    verdict = judge(repeated(errors((2, 475), (20, 25), 0.05), 6), _rules(dry, latency_rule))
    assert verdict.ruling is Ruling.PROMOTE
    assert verdict.findings[0].is_harm
    assert "dry run" in verdict.findings[0].sentence


def test_a_dry_run_takes_nothing_from_the_others() -> None:
    alone = judge([], _rules(ERRORS)).findings[0].harm_needed
    dry = MetricRule(metric="latency", margin=1.0, dry_run=True)
    assert judge([], _rules(ERRORS, dry)).findings[0].harm_needed == alone == pytest.approx(200)


def replace_rule(rule: MetricRule, **changes: object) -> MetricRule:
    return rule.model_copy(update=changes)


FAILING = errors((2, 450), (25, 50))
SLOW = block(latency({3: 450, 10: 5}), latency({3: 30, 10: 20}))
OTHERWISE = block(Counts(predictions={"yes": 300, "no": 300}), Counts(predictions={"yes": 5, "no": 95}))
UNLIKE = block(pairs=Pairs(100, 40, 0, 0))
WRONG = block(pairs=Pairs(100, 10, 9, 1))
DISLIKED = block(Counts(feedback={"value": Sums(400, 200.0, 0.0)}), Counts(feedback={"value": Sums(100, 20.0, 0.0)}))


HARM = [
    (MetricRule(metric="error_rate", margin=0.01), FAILING),
    (MetricRule(metric="error_rate", limit=0.1), FAILING),
    (MetricRule(metric="latency", margin=1.0), SLOW),
    (MetricRule(metric="latency", limit=150), SLOW),
    (MetricRule(metric="predictions", margin=0.5), OTHERWISE),
    (MetricRule(metric="disagreement", margin=0.1), UNLIKE),
    (MetricRule(metric="disagreement", limit=0.1), UNLIKE),
    (MetricRule(metric="accuracy", margin=0.1), WRONG),
    (MetricRule(metric="feedback.value", margin=0.05), DISLIKED),
]


@pytest.mark.parametrize(("rule", "harmful"), HARM)
def test_harm_that_begins_late_rolls_back_soon(rule: MetricRule, harmful: Block) -> None:
    healthy = replace(harmful, candidate=harmful.stable, pairs=Pairs(100, 4, 2, 2))
    assert judge([*repeated(healthy, 2000), *repeated(harmful, 12)], _rules(rule)).ruling is Ruling.ROLL_BACK


@pytest.mark.parametrize(("rule", "harmful"), HARM)
def test_every_metric_can_roll_back(rule: MetricRule, harmful: Block) -> None:
    assert judge(repeated(harmful, 10), _rules(rule)).ruling is Ruling.ROLL_BACK
    same = replace(harmful, candidate=harmful.stable, pairs=Pairs(100, 4, 2, 2))
    assert judge(repeated(same, 10), _rules(rule)).ruling is not Ruling.ROLL_BACK


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (MetricRule(metric="disagreement", margin=0.1, prove=True), block(pairs=Pairs(50, 1, 0, 0))),
        (MetricRule(metric="accuracy", margin=0.2, prove=True), block(pairs=Pairs(100, 20, 10, 10))),
        (
            MetricRule(metric="feedback.value", margin=0.1, prove=True),
            block(
                Counts(10, feedback={"value": Sums(400, 200.0, 0)}), Counts(10, feedback={"value": Sums(200, 100.0, 0)})
            ),
        ),
    ],
)
def test_every_margin_that_can_be_proved_promotes(rule: MetricRule, good: Block) -> None:
    assert judge([good], _rules(rule)).ruling is Ruling.CONTINUE
    assert judge(repeated(good, 20), _rules(rule)).ruling is Ruling.PROMOTE


def test_feedback_is_told_on_its_own_scale() -> None:
    rule = MetricRule(metric="feedback.value", margin=5.0, range=(0.0, 100.0), better="lower")
    counts = [Counts(feedback={"value": Sums(500, 500 * mean, 0.0)}) for mean in (20.0, 30.0)]
    found = judge(repeated(block(*counts), 20), _rules(rule)).findings[0]
    assert (found.stable, found.candidate) == (pytest.approx(20), pytest.approx(30))
    assert found.low is not None
    assert found.high is not None
    assert 5 < found.low < 10 < found.high < 15
    assert found.is_harm


@pytest.mark.parametrize("rate", [0.005, 0.01])
def test_candidates_within_the_margin_are_not_rolled_back(rate: float) -> None:
    rules, back = AnalysisSection(), 0
    for run in range(25):
        blocks = traffic(np.random.default_rng(run), 10, 1500, 0.1, 0.005, rate)
        back += any(judge(blocks[:look], rules).ruling is Ruling.ROLL_BACK for look in range(1, 11))
    assert back <= 1


def test_candidates_at_the_margin_are_hardly_promoted() -> None:
    rules, forth = AnalysisSection(), 0
    for run in range(40):
        blocks = traffic(np.random.default_rng(run), 15, 1500, 0.2, 0.005, 0.015)
        forth += any(judge(blocks[:look], rules).ruling is Ruling.PROMOTE for look in range(3, 16, 3))
    assert forth <= 5  # at most 5 % are expected, or 2


def test_the_same_question_gets_the_same_answer() -> None:
    blocks = traffic(np.random.default_rng(1), 10, 500, 0.1, 0.01, 0.02)
    assert judge(blocks, EVERY) == judge(list(blocks), EVERY)


@given(st.one_of(some_blocks(), blocks_of_users()))
@settings(deadline=None, max_examples=40)
def test_no_counts_give_a_nan(blocks: list[Block]) -> None:
    verdict = judge(blocks, EVERY)
    assert not any(isnan(number) for number in _numbers(verdict))
    assert all(found.still_needed is None or found.still_needed > 0 for found in verdict.findings)
    assert (bound_on_harm(blocks, EVERY) is None) == (not any(each.candidate.requests for each in blocks))


@given(some_blocks(), st.permutations(EVERY.metrics))
@settings(deadline=None, max_examples=15)
def test_the_order_of_the_metrics_does_not_matter(blocks: list[Block], metrics: Sequence[MetricRule]) -> None:
    ordered, mixed = judge(blocks, EVERY), judge(blocks, _rules(*metrics))
    assert mixed.ruling is ordered.ruling
    assert {found.metric: found for found in mixed.findings} == {found.metric: found for found in ordered.findings}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_more_errors_of_the_candidate_never_look_less_harmful(one: int, other: int, blocks: int) -> None:
    rules = _rules(ERRORS)
    few, many = (
        judge([errors((5, 1000), (0, 50)), *repeated(errors((5, 1000), (bad, 50)), blocks)], rules).findings[0].harm
        for bad in sorted((one, other))
    )
    assert few <= many * (1 + 1e-9)


@pytest.mark.parametrize("counts", [((2, 450), (0, 50)), ((2, 450), (4, 50)), ((40, 450), (1, 50))])
def test_halved_blocks_say_the_same(counts: tuple[tuple[int, int], tuple[int, int]]) -> None:
    whole = repeated(errors(*(tuple(2 * each for each in pair) for pair in counts)), 20)  # type: ignore[arg-type]
    halves = repeated(errors(*counts), 40)
    one, other = (judge(blocks, _rules(ERRORS)) for blocks in (whole, halves))
    assert one.ruling is other.ruling
    assert one.findings[0].high == pytest.approx(other.findings[0].high, rel=0.15)


def test_silence_is_no_reason_to_hold() -> None:
    verdict = judge(repeated(block(share=0.05), 100), EVERY)
    assert verdict.ruling is Ruling.CONTINUE
    assert all(found.stable is None for found in verdict.findings)


def test_the_bound_on_harm_falls_with_traffic_and_agrees_with_the_finding() -> None:
    rules = _rules(ERRORS)
    blocks = repeated(errors((2, 450), (0, 50), 0.1), 40)
    bounds = [bound_on_harm(blocks[:look], rules) for look in (1, 5, 40)]
    assert bounds == sorted(bounds, key=lambda bound: -(bound or 0))
    assert bounds[-1] == judge(blocks, rules).findings[0].high
    assert bounds[-1] is not None
    assert (bounds[-1] < 0.01) == judge(blocks, rules).findings[0].is_safe


def test_there_is_no_bound_on_harm_without_a_rule_or_a_request() -> None:
    blocks = [errors((2, 450), (0, 50))]
    assert bound_on_harm(blocks, _rules(MetricRule(metric="latency", margin=1.0))) is None
    assert bound_on_harm([errors((2, 450), (0, 0))], _rules(ERRORS)) is None
    assert bound_on_harm([errors((0, 0), (0, 50))], _rules(ERRORS)) == 1.0


NEARLY = [errors((2, 475), (2, 25), 0.05), errors((2, 475), (2, 25), 0.05)]


def test_what_nearly_proves_harm_makes_a_promotion_wait_and_says_so() -> None:
    rules = AnalysisSection(metrics=(MetricRule(metric="error_rate", margin=0.01),))
    verdict = judge(NEARLY, rules)
    assert 10 < verdict.findings[0].harm < 100
    assert (verdict.ruling, verdict.nearly) == (Ruling.CONTINUE, Nearly.COMPARISON)
    assert verdict.reason.startswith("harm is nearly proved, and a promotion waits: errors: 4 of 50 against 4 of 950")
    assert "of the 100 needed" in verdict.reason


def test_the_wait_ends_when_the_evidence_fades() -> None:
    rules = AnalysisSection(metrics=(MetricRule(metric="error_rate", margin=0.01),))
    verdict = judge([*NEARLY, *repeated(errors((2, 450), (0, 50), 0.1), 20)], rules)
    assert (verdict.ruling, verdict.nearly) == (Ruling.PROMOTE, None)


def test_a_limit_that_is_nearly_broken_makes_a_promotion_wait() -> None:
    rules = AnalysisSection(metrics=(MetricRule(metric="error_rate", limit=0.1),))
    verdict = judge([errors((6, 30), (6, 14), 0.3)], rules)
    assert (verdict.ruling, verdict.nearly) == (Ruling.CONTINUE, Nearly.LIMIT)


def test_caution_is_for_the_spec_to_say_and_dry_runs_count_for_nothing() -> None:
    rule = MetricRule(metric="error_rate", margin=0.01)
    assert judge(NEARLY, AnalysisSection(metrics=(rule,), caution=1.0)).ruling is Ruling.PROMOTE
    dry = replace_rule(rule, dry_run=True)
    assert judge(NEARLY, _rules(dry, MetricRule(metric="latency", margin=1.0))).nearly is None


def test_healthy_candidates_seldom_wait() -> None:
    waits = 0
    for run in range(100):
        blocks = traffic(np.random.default_rng(run), 12, 800, 0.1, 0.005, 0.005)
        waits += any(judge(blocks[:look], AnalysisSection()).nearly is not None for look in range(2, 13, 2))
    assert waits <= 10  # alpha / caution = 10 % at most


def hanging(requests: int, failed: int, left: int, bucket: int = 14) -> Counts:
    """So many requests, of which `left` were given up after about a second."""
    answered = requests - left
    return Counts(
        requests,
        failed,
        tuple(answered if each == 5 else 0 for each in range(BUCKETS)),
        given_up=tuple(left if each == bucket else 0 for each in range(BUCKETS)),
    )


@pytest.mark.parametrize(
    "rules",
    [
        AnalysisSection(),
        _rules(MetricRule(metric="error_rate", margin=0.01)),
        _rules(MetricRule(metric="error_rate", limit=0.1)),
        _rules(MetricRule(metric="latency", margin=1.0)),
        _rules(MetricRule(metric="latency", limit=500)),
    ],
)
def test_a_candidate_that_hangs_is_rolled_back_and_impatient_clients_of_both_are_nobodys_fault(
    rules: AnalysisSection,
) -> None:
    hangs = judge(repeated(block(hanging(950, 1, 1), hanging(50, 0, 20), share=0.05), 6), rules)
    assert hangs.ruling is Ruling.ROLL_BACK
    both = judge(repeated(block(hanging(950, 1, 380), hanging(50, 0, 20), share=0.05), 6), rules)
    limited = rules.metrics[0].metric == "latency" and rules.metrics[0].limit is not None
    assert (both.ruling is Ruling.ROLL_BACK) is limited, "a limit on latency holds whatever the champion does"


def test_given_up_requests_count_as_the_spec_says_and_are_told() -> None:
    blocks = repeated(block(hanging(950, 1, 1), hanging(50, 0, 20), share=0.05), 6)
    errors_alone = MetricRule(metric="error_rate", margin=0.01)
    found = judge(blocks, AnalysisSection(metrics=(errors_alone,), given_up=0.0))
    assert found.ruling is not Ruling.ROLL_BACK
    assert "gave up: 120 against 6" in found.findings[0].sentence
    half = judge(blocks, AnalysisSection(metrics=(errors_alone,), given_up=0.5)).findings[0]
    assert half.candidate == pytest.approx(0.2)


def test_a_request_that_was_given_up_is_slower_than_its_age_and_says_nothing_of_longer_times() -> None:
    bound = LATENCY_BOUNDS_MS.index(500)
    counts = hanging(100, 0, 40, bucket=bound + 1)  # after 500 to 750 ms
    arms = block_counts.latencies([block(counts, hanging(100, 0, 0))], Unit.REQUEST)
    assert (arms.stable[0, bound], arms.stable_bad[0, bound]) == (100, 40)
    assert (arms.stable[0, bound + 1], arms.stable_bad[0, bound + 1]) == (60, 0)
    assert (arms.candidate[0, bound], arms.candidate_bad[0, bound]) == (100, 0)


def test_what_was_counted_under_a_wrong_split_proves_harm_and_nothing_else() -> None:
    good = repeated(errors((2, 450), (0, 50), 0.1), 40)
    assert judge(good, _rules(ERRORS)).ruling is Ruling.PROMOTE
    doubted = [replace(each, trusted=False) for each in good]
    assert judge(doubted, _rules(ERRORS)).ruling is Ruling.CONTINUE
    assert bound_on_harm(doubted, _rules(ERRORS)) is None
    harmful = [replace(each, trusted=False) for each in repeated(errors((2, 475), (3, 25), 0.05), 6)]
    assert judge(harmful, _rules(ERRORS)).ruling is Ruling.ROLL_BACK
    lopsided = [replace(each, trusted=False) for each in repeated(errors((2, 500), (2, 500), 0.05), 9)]
    assert judge([*lopsided, *good], _rules(ERRORS)).ruling is Ruling.PROMOTE, "it holds no retry"
