"""Evidence by user: each stretch by itself, with its own share of alpha and beta."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.analysis import proportion, rate_difference, rate_ratio
from deployments.analysis.ab_winner import winner
from deployments.analysis.block_counts import Array, Unit
from deployments.analysis.evidence import Block, Counts, Units
from deployments.analysis.evidence_by_unit import split_into_parts
from deployments.analysis.judge import bound_on_harm, judge
from deployments.analysis.user_metrics import Outcome, Stretches
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection, MetricRule
from tests.unit.deployments.analysis.blocks import INTERVAL, START, errors, repeated
from tests.unit.deployments.analysis.nulls import arms

ERRORS = AnalysisSection(metrics=(MetricRule(metric="error_rate", margin=0.01, limit=0.1, prove=True),))
ROWS = [(900, 4, 100, 1), (950, 3, 50, 2), (500, 0, 500, 9), (900, 8, 100, 6), (20, 1, 3, 1), (900, 2, 100, 0)]


def users(
    stable: tuple[float, int], candidate: tuple[float, int], stretch: int = 0, long: int = 0, share: float = 0.05
) -> Block:
    """A block with (errors, users) in each version, one request each, in these stretches."""
    counts = (
        Counts(count, round(bad), units=Units(count, bad), long_units=Units(count, bad))
        for bad, count in (stable, candidate)
    )
    began = {"stretch": START + stretch * INTERVAL, "long_stretch": START + long * timedelta(days=1)}
    return Block(START, START + INTERVAL, 0, share, *counts, **began)


def test_each_stretch_counts_as_if_it_were_alone() -> None:
    starts = np.array([0, 2, 5])
    whole = arms(*ROWS)
    each = [arms(*ROWS[0:2]), arms(*ROWS[2:5]), arms(*ROWS[5:])]
    by_ratio = rate_ratio.log_e_in_each(whole, 1, starts)[:, 0]
    assert by_ratio == pytest.approx([rate_ratio.log_e_above(one, 1)[0] for one in each])
    compared = rate_difference.compare(whole, rate_difference.ERRORS_EXPECTED, starts)
    alone = [
        rate_difference.log_e_above(rate_difference.compare(one, rate_difference.ERRORS_EXPECTED), 0.01) for one in each
    ]
    assert rate_difference.log_e_in_each(compared, 0.01, 3) == pytest.approx(alone)
    by_share = proportion.log_e_in_each(whole.candidate_bad, whole.candidate, 0.01, starts)
    assert by_share == pytest.approx(
        [proportion.log_e_above(one.candidate_bad.sum(), one.candidate.sum(), 0.01) for one in each]
    )


def test_stretches_of_each_kind_share_alpha_and_beta_and_requests_have_theirs_whole() -> None:
    blocks = [errors((1, 90), (0, 10)), *(users((1, 90), (0, 10), each, each // 3) for each in range(9))]
    parts = split_into_parts(blocks, 1.0)
    assert [part.unit for part in parts.whole] == [Unit.REQUEST, Unit.LONG, Unit.LONG, Unit.LONG]
    alpha, beta = np.exp(parts.log_alpha), np.exp([part.log_beta for part in parts.whole])
    assert alpha[0] == beta[0] == 1
    assert alpha[1:] == pytest.approx([1 / 4, 1 / 12, 1 / 24, *(0.5 / (each * (each + 1)) for each in range(1, 10))])
    assert beta[1:] == pytest.approx([1 / 2, 1 / 6, 1 / 12])
    assert alpha[1:].sum() < 1


def test_of_who_fails_a_long_stretch_and_its_first_short_one_are_not_tested_twice() -> None:
    """The first of each three short stretches begins with a long one."""
    blocks = [users((1, 90), (0, 10), 3 * long + short, long) for long in range(2) for short in range(3)]
    blocks = [replace(each, long_stretch=blocks[3 * (number // 3)].stretch) for number, each in enumerate(blocks)]
    shares = np.exp(split_into_parts([errors((1, 90), (0, 10)), *blocks], 1.0).log_alpha_of_failures)
    assert shares == pytest.approx([1, 1 / 3, 1 / 9, 0, 1 / 6, 1 / 18, 0, 1 / 36, 1 / 60])
    verdicts = [judge(harmful_users()[:looks], ERRORS).findings[0].harm for looks in (1, 2, 3)]
    assert verdicts == sorted(verdicts)


def test_whoever_counts_users_in_one_way_only_is_judged_too() -> None:
    one_way = [
        replace(each, long_stretch=None, stable=replace(each.stable, long_units=None)) for each in harmful_users()
    ]
    assert judge(one_way, ERRORS).ruling is Ruling.ROLL_BACK
    assert judge([replace(each, stretch=None) for each in one_way], ERRORS).ruling is Ruling.ROLL_BACK


def harmful_users(stretch: int = 0) -> Sequence[Block]:
    return [users((1, 190), (4, 10), stretch) for _ in range(3)]


def test_harm_to_users_is_told_with_the_stretch_that_proved_it() -> None:
    verdict = judge(harmful_users(), ERRORS)
    assert verdict.ruling is Ruling.ROLL_BACK
    assert "12 users failed against 3 of the champion's (40 % against 0.53 %) since 00:00:00" in verdict.reason


def test_old_blocks_by_request_and_new_ones_by_user_are_judged_together() -> None:
    harmful = repeated(errors((2, 475), (3, 25), 0.05), 6)
    calm = [users((1, 190), (0, 10), each, 1) for each in range(3)]
    assert judge([*harmful, *calm], ERRORS).ruling is Ruling.ROLL_BACK
    assert judge([*repeated(errors((2, 450), (0, 50)), 3), *harmful_users()], ERRORS).ruling is Ruling.ROLL_BACK


def test_harm_of_an_earlier_stretch_stays_proved_for_a_retry() -> None:
    calm = [users((1, 190), (0, 10), 1 + each // 3, 1) for each in range(60)]
    assert judge([*harmful_users(), *calm], ERRORS).ruling is Ruling.ROLL_BACK


def test_the_same_users_in_many_stretches_are_no_more_evidence_than_in_one() -> None:
    """Two of ten users of the candidate are sick, two of 190 of the champion, and they come back for hours."""
    for lasts in (1, 300):
        back = [users((2, 190), (2, 10), each, each) for each in range(lasts)]
        assert judge(back, AnalysisSection()).ruling is not Ruling.ROLL_BACK
    as_requests = [errors((2, 190), (2, 10), 0.05)] * 300
    assert judge(as_requests, AnalysisSection()).ruling is Ruling.ROLL_BACK, "the test can tell the difference"


def test_a_suspicion_of_an_earlier_stretch_stands_until_as_many_users_have_cleared_it() -> None:
    suspicious = users((1, 190), (3, 10), 0)
    rules = AnalysisSection(metrics=(MetricRule(metric="error_rate", margin=0.01),), caution=0.1)
    few = users((1, 40), (0, 3), 1, 1)
    many = users((1, 190), (0, 12), 2, 2)
    assert judge([suspicious], rules).nearly is not None
    assert judge([suspicious, few], rules).nearly is not None
    assert judge([suspicious, few, many], rules).nearly is None


def test_many_users_prove_a_margin_and_the_bound_agrees() -> None:
    calm = [users((1, 200), (1, 200), 0, 0, 0.5) for _ in range(20)]
    verdict = judge(calm, ERRORS)
    assert verdict.ruling is Ruling.PROMOTE
    assert "users" in verdict.findings[0].sentence
    assert bound_on_harm(calm, ERRORS) == verdict.findings[0].high
    few = judge(calm[:1], ERRORS)
    assert few.ruling is Ruling.CONTINUE
    assert "more users" in few.reason


def test_a_candidate_that_fails_fewer_users_wins() -> None:
    better = [users((30, 200), (2, 200), 0, 0, 0.5) for _ in range(10)]
    assert winner(better, ERRORS) == "candidate"
    assert winner(harmful_users(), ERRORS) == "stable"


@pytest.mark.parametrize(("metric", "margin"), [("latency", 1.0), ("predictions", 0.5)])
def test_distributions_are_judged_by_user_too(metric: str, margin: float) -> None:
    rules = AnalysisSection(metrics=(MetricRule(metric=metric, margin=margin),))
    chance = np.random.default_rng(2)
    for harmful in (False, True):
        stretches = Stretches()
        stretches.begin(START)
        blocks = []
        for look in range(1, 13):
            outcomes = []
            for number in range(300):
                version = 2 if number % 5 == 0 else 1
                odd = chance.random() < (0.4 if harmful and version == 2 else 0.02)
                answer = {"latency": 12 if odd else 4, "predicted": {"no" if odd else "yes": 1.0}}
                outcomes.append(Outcome(version, f"{look // 4} {number}", **answer))
            at = START + look * INTERVAL
            stretches.add(outcomes, at)
            counted = stretches.block(at)
            assert counted is not None
            blocks.append(counted.completes(users((0, 0), (0, 0)), 1, 2, {}))
        verdict = judge(blocks, rules)
        assert (verdict.ruling is Ruling.ROLL_BACK) == harmful
        assert "of the users" in verdict.findings[0].sentence


def mean_e(logs: Array, chances: Array) -> float:
    return float((np.exp(logs) * chances).sum())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=2, max_size=3), st.sampled_from([0.0, 0.05]))
def test_shares_of_users_are_not_expected_to_gain_evidence(law: list[tuple[float, float]], delta: float) -> None:
    """Three users of the champion and two of the candidate, whose values follow any law on [0, 1]: all outcomes."""
    points, weights = np.array([x for x, _ in law]), np.array([w for _, w in law])
    weights = weights / weights.sum()
    worse = points * (1 - delta) + delta if delta else points  # its mean is at most delta above
    for sizes in ((3, 2),):
        stable, candidate = (np.indices((len(points),) * size).reshape(size, -1) for size in sizes)
        by_ratio, by_difference, by_share, chances = [], [], [], []
        bound = float((worse * weights).sum())
        for one in stable.T:
            for other in candidate.T:
                row = arms((sizes[0], points[one].sum(), sizes[1], worse[other].sum()))
                chances.append(weights[one].prod() * weights[other].prod())
                same = arms((sizes[0], points[one].sum(), sizes[1], points[other].sum()))
                by_ratio.append(rate_ratio.log_e_above(same, 1)[0])
                compared = rate_difference.compare(row, rate_difference.ERRORS_EXPECTED)
                by_difference.append(rate_difference.log_e_above(compared, delta))
                by_share.append(proportion.log_e_above(float(worse[other].sum()), sizes[1], bound))
        assert mean_e(np.array(by_ratio), np.array(chances)) <= 1 + 1e-9
        assert mean_e(np.array(by_difference), np.array(chances)) <= 1 + 1e-9
        assert mean_e(np.array(by_share), np.array(chances)) <= 1 + 1e-9


def test_where_users_are_too_few_for_any_proof_the_verdict_says_so_and_how_many_it_takes() -> None:
    blocks = [users((0, 475), (0, 25)), *(users((0, 0), (0, 0)) for _ in range(50))]
    verdict = judge(blocks, ERRORS)
    assert (verdict.ruling, verdict.few, verdict.nearly) == (Ruling.CONTINUE, True, None)
    needed = int(np.ceil(np.log(2 / ERRORS.beta) / -np.log(1 - 0.01)))
    assert f"no fewer than {needed} of the candidate's, who has had 25" in verdict.reason


def test_users_who_are_enough_or_requests_are_not_few() -> None:
    enough = judge([users((2, 4000), (2, 380))], ERRORS)
    assert (enough.ruling, enough.few) == (Ruling.CONTINUE, False)
    requests = judge([errors((1, 475), (0, 25))], ERRORS)
    assert (requests.ruling, requests.few) == (Ruling.CONTINUE, False)
    proved = judge(repeated(users((0, 400), (0, 400), share=0.5), 6), ERRORS)
    assert (proved.ruling, proved.few) == (Ruling.PROMOTE, False)


def test_what_no_user_could_settle_is_not_for_want_of_users() -> None:
    told = (MetricRule(metric="feedback.late", margin=0.1, better="lower", prove=True),)
    rules = AnalysisSection(metrics=(*ERRORS.metrics, *told))
    assert not judge([users((0, 475), (0, 25))], rules).few
