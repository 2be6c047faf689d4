import numpy as np
import pytest

from deployments.analysis.evidence import Pairs
from deployments.analysis.judge import judge
from deployments.analysis.sample_size import requests_needed
from deployments.spec import AnalysisSection, MetricRule
from tests.unit.deployments.analysis.blocks import block, traffic

ERRORS = MetricRule(metric="error_rate", margin=0.01, prove=True)
RULES = AnalysisSection(metrics=(ERRORS,))


@pytest.mark.parametrize(("rate", "share"), [(0.005, 0.05), (0.005, 0.5), (0.05, 0.25)])
def test_the_estimate_is_within_a_factor_of_two_of_simulated_rollouts(rate: float, share: float) -> None:
    estimate = requests_needed(ERRORS, RULES, rate, share)
    assert estimate is not None
    per_block = estimate / 30
    took = []
    for run in range(11):
        blocks = traffic(np.random.default_rng(run), 90, per_block, share, rate, rate)
        looks = (look for look in range(6, 91, 6) if judge(blocks[:look], RULES).findings[0].is_safe)
        took.append(per_block * next(looks, 91))
    assert estimate / 2 <= np.median(took) <= estimate * 2


def test_pairs_are_counted_in_mirrored_requests() -> None:
    rule = MetricRule(metric="disagreement", margin=0.1, prove=True)
    rules = AnalysisSection(metrics=(rule,))
    whole, tenth = (requests_needed(rule, rules, 0.05, share) for share in (1.0, 0.1))
    assert whole is not None
    assert tenth == 10 * whole
    safe = [judge([block(pairs=Pairs(n, round(0.05 * n)))], rules).findings[0].is_safe for n in (whole // 2, 2 * whole)]
    assert safe == [False, True]


def test_fewer_labels_that_tell_the_versions_apart_take_more_requests() -> None:
    rule = MetricRule(metric="accuracy", margin=0.2, prove=True)
    many, few = (requests_needed(rule, AnalysisSection(metrics=(rule,)), decided, 1.0) for decided in (0.2, 0.02))
    assert many is not None
    assert few is not None
    assert few == pytest.approx(10 * many, rel=0.01)


def test_feedback_is_planned_on_its_own_scale() -> None:
    rule = MetricRule(metric="feedback.euros", margin=5.0, range=(0.0, 100.0), prove=True)
    same = MetricRule(metric="feedback.euros", margin=0.05, prove=True)
    rules = AnalysisSection(metrics=(rule,))
    assert requests_needed(rule, rules, 30.0, 0.5) == requests_needed(same, rules, 0.3, 0.5)


@pytest.mark.parametrize(
    ("rule", "rate", "share"),
    [
        (ERRORS, 0.005, 0.0),
        (ERRORS, 0.005, 1.0),
        (MetricRule(metric="disagreement", margin=0.1, prove=True), 0.1, 0.5),
        (MetricRule(metric="disagreement", margin=0.1, prove=True), 0.05, 0.0),
    ],
)
def test_what_no_traffic_can_settle_has_no_number(rule: MetricRule, rate: float, share: float) -> None:
    assert requests_needed(rule, AnalysisSection(metrics=(rule,)), rate, share) is None


def test_what_needs_no_proof_needs_no_requests() -> None:
    assert requests_needed(MetricRule(metric="latency", margin=1.0), RULES, 0.005, 0.1) == 0
