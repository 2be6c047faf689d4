"""What the rollout section refuses before anything moves, and what it means by default."""

from math import inf, nan
from typing import Any

import pytest
from pydantic import ValidationError

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.spec import (
    ABSection,
    AnalysisSection,
    CanarySection,
    MatchRule,
    MetricRule,
    RolloutSection,
    ShadowSection,
    StickyKey,
)


def refused(kind: Any, **given: Any) -> str:
    with pytest.raises(ValidationError) as error:
        kind(**given)
    return "; ".join(each["msg"] for each in error.value.errors())


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((5, 5), "weight 5 does not rise above 5"),
        ((50, 10), "weight 10 does not rise above 50"),
        ((50, 100), "the last weight is 100: leave it out"),
        ((0,), "greater than 0"),
        ((101,), "less than or equal to 100"),
        ((0.001,), "multiple of 0.01"),
        ((), "at least 1 item"),
        ((True,), "CanaryStep"),
    ],
)
def test_weights_that_do_not_rise_to_all_traffic_are_refused(steps: tuple[float, ...], message: str) -> None:
    assert message in refused(CanarySection, steps=steps)


def test_a_weight_may_be_a_number_or_say_more() -> None:
    section = CanarySection.model_validate({"steps": (0.5, {"weight": 20, "approve": True})})
    assert [(step.weight, step.approve) for step in section.steps] == [(0.5, False), (20, True)]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "happiness", "margin": 1.0}, "String should match pattern"),
        ({"metric": "feedback.Sales", "margin": 1.0}, "String should match pattern"),
        ({"metric": "error_rate"}, "neither margin nor limit"),
        ({"metric": "error_rate", "margin": -0.1}, "greater than or equal to 0"),
        ({"metric": "error_rate", "margin": 1.0}, "margin 1 of error_rate allows everything"),
        ({"metric": "accuracy", "margin": 0.5}, "margin 0.5 of accuracy allows everything"),
        ({"metric": "error_rate", "limit": 1.0}, "limit 1 of error_rate is no share"),
        ({"metric": "predictions", "margin": 1.0, "limit": 0.1}, "predictions takes no limit"),
        ({"metric": "latency", "limit": 20_000}, "longer than is measured: at most 10000 ms"),
        ({"metric": "latency", "margin": 1.0, "prove": True}, "latency cannot be proved not worse"),
        ({"metric": "error_rate", "limit": 0.1, "prove": True}, "error_rate cannot be proved not worse"),
        ({"metric": "error_rate", "margin": 0.0, "prove": True}, "margin 0 of error_rate is never proved kept"),
        ({"metric": "feedback.sales", "margin": 0.1, "range": (1.0, 1.0)}, "is empty"),
        (
            {"metric": "feedback.sales", "margin": 2.0, "range": (1.0, 3.0)},
            "margin 2 of feedback.sales allows everything",
        ),
        ({"metric": "feedback.sales", "margin": 0.1, "range": (0.0, nan)}, "should be a finite number"),
        ({"metric": "latency", "margin": inf}, "should be a finite number"),
    ],
)
def test_a_rule_that_could_decide_nothing_is_refused(rule: dict[str, Any], message: str) -> None:
    assert message in refused(MetricRule, **rule)


def test_the_longest_latency_that_may_be_limited_is_the_longest_that_is_measured() -> None:
    assert MetricRule(metric="latency", limit=LATENCY_BOUNDS_MS[-1]).limit == LATENCY_BOUNDS_MS[-1]
    assert refused(MetricRule, metric="latency", limit=LATENCY_BOUNDS_MS[-1] + 1)


def test_a_metric_is_judged_once() -> None:
    twice = (MetricRule(metric="error_rate", margin=0.1), MetricRule(metric="error_rate", limit=0.1))
    assert "metrics named twice: error_rate" in refused(AnalysisSection, metrics=twice)


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        (ABSection, {"share": 0.0}, "nobody would ever meet the candidate"),
        (ABSection, {"share": 100.0}, "less than 100"),
        (ShadowSection, {"share": 0.0}, "greater than 0"),
        (MatchRule, {"value": "b"}, "exactly one of header or cookie"),
        (MatchRule, {"value": "", "header": "x-group"}, "at least 1 character"),
        (StickyKey, {"header": "x-user", "cookie": "user"}, "exactly one of header or cookie"),
        (StickyKey, {"header": "x user"}, "String should match pattern"),
        (RolloutSection, {"replicas": 0}, "greater than or equal to 1"),
        (AnalysisSection, {"alpha": 0.0}, "greater than 0"),
        (AnalysisSection, {"beta": 0.5}, "less than 0.5"),
    ],
)
def test_what_cannot_be_done_is_refused(kind: Any, given: dict[str, Any], message: str) -> None:
    assert message in refused(kind, **given)


def test_a_section_reads_back_equal_from_the_journal() -> None:
    section = RolloutSection(ab=ABSection(match=MatchRule(cookie="group", value="b")))
    assert RolloutSection.model_validate_json(section.model_dump_json()) == section
