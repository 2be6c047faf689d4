"""What a plan will take, and the schedules that cannot come to an end."""

from datetime import timedelta

import pytest

from deployments.analysis.sample_size import requests_needed
from deployments.durations import in_words
from deployments.rollout.steps import Observe, Until
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    MatchRule,
    MetricRule,
    OnDeadline,
    Pace,
    RolloutSection,
    ShadowSection,
    Strategy,
)
from deployments.strategies.forecast import Forecast, Traffic, forecast, total
from deployments.strategies.plan import Change, Goal, plan

MINUTE = timedelta(minutes=1)
NEW = Change(Goal.PROMOTE, candidate=2, champion=1, running=(1,))
ERRORS = MetricRule(metric="error_rate", margin=0.01, prove=True)
ONE_STEP = CanarySection(steps=(CanaryStep(weight=50),), wait=MINUTE)


def section(**changes: object) -> RolloutSection:
    return RolloutSection.model_validate({"bake": MINUTE, "canary": ONE_STEP} | changes)


def forecasts(strategy: Strategy, rules: RolloutSection, traffic: Traffic) -> tuple[Forecast, ...]:
    return forecast(plan(strategy, NEW, rules), 2, rules, traffic, {"launch": timedelta(seconds=6)})


def observed(strategy: Strategy, rules: RolloutSection, traffic: Traffic) -> list[Forecast]:
    return [each for each in forecasts(strategy, rules, traffic) if isinstance(each.step, Observe)]


def test_a_proof_takes_the_requests_that_the_analysis_reckons_with() -> None:
    rules = section(analysis=AnalysisSection(metrics=(ERRORS,)))
    proof = observed(Strategy.CANARY, rules, Traffic(2.0, 0.01))[0]
    assert proof.requests == requests_needed(ERRORS, rules.analysis, 0.01, 0.5)
    assert proof.requests is not None
    assert proof.time == timedelta(seconds=proof.requests / 2)
    assert f"proving error_rate within 1 % at 50 % takes about {proof.requests:,} requests" in proof.reason
    assert not proof.warning


def test_a_proof_lasts_at_least_the_time_of_its_step() -> None:
    assert observed(Strategy.CANARY, section(), Traffic(1_000_000.0, 0.01))[0].time == MINUTE


def test_a_proof_that_ends_after_the_deadline_is_warned_of_with_its_numbers() -> None:
    rules = section(analysis=AnalysisSection(metrics=(ERRORS,), deadline=2 * MINUTE))
    proof = observed(Strategy.CANARY, rules, Traffic(2.0, 0.01))[0]
    assert proof.time is not None
    assert proof.warning == (
        f"{proof.reason}; at 2 requests/s that is {in_words(proof.time)}, more than the deadline of 2 min: "
        "it is then rolled back"
    )


@pytest.mark.parametrize(
    ("policy", "then"), [(OnDeadline.PAUSE, "is then paused"), (OnDeadline.PROMOTE, "goes on without an answer")]
)
def test_the_warning_says_what_happens_at_the_deadline(policy: OnDeadline, then: str) -> None:
    rules = section(analysis=AnalysisSection(deadline=MINUTE / 2, on_deadline=policy))
    assert then in observed(Strategy.CANARY, rules, Traffic(2.0, 0.01))[0].warning


def test_a_watch_that_is_longer_than_the_deadline_is_warned_of() -> None:
    rules = section(analysis=AnalysisSection(metrics=(MetricRule(metric="latency", margin=1.0),), deadline=MINUTE / 2))
    bake = observed(Strategy.BLUE_GREEN, rules, Traffic(50.0, 0.0))[0]
    assert bake.warning == "it lasts 60 s, more than the deadline of 30 s: it is then rolled back"


def test_without_any_traffic_every_observation_is_warned_of_and_none_has_a_time() -> None:
    for each in observed(Strategy.CANARY, section(), Traffic(0.0, 0.0)):
        assert each.time is None
        assert "no request comes now" in each.warning


def test_without_known_traffic_the_requests_are_told_but_not_the_time() -> None:
    proof = observed(Strategy.CANARY, section(), Traffic())[0]
    assert proof.requests
    assert (proof.time, proof.warning) == (None, "")


def test_what_earlier_steps_gather_shortens_the_proof() -> None:
    early = CanarySection(steps=(CanaryStep(weight=25), CanaryStep(weight=50)), wait=10 * MINUTE)
    analysis = AnalysisSection(metrics=(ERRORS,))
    alone = observed(Strategy.CANARY, section(analysis=analysis), Traffic(2.0, 0.01))[0]
    after = observed(Strategy.CANARY, section(analysis=analysis, canary=early), Traffic(2.0, 0.01))[1]
    assert alone.requests is not None
    assert after.requests is not None
    assert 0 < after.requests < alone.requests


def test_a_proof_that_earlier_steps_bring_needs_no_requests_of_its_own() -> None:
    early = CanarySection(steps=(CanaryStep(weight=25), CanaryStep(weight=50)), wait=10 * MINUTE)
    proof = observed(Strategy.CANARY, section(canary=early), Traffic(500.0, 0.01))[1]
    assert (proof.requests, proof.time) == (0, 10 * MINUTE)


def test_paced_by_evidence_a_small_weight_is_left_after_some_requests() -> None:
    canary = CanarySection(steps=(CanaryStep(weight=5), CanaryStep(weight=10)), pace=Pace.EVIDENCE)
    first = observed(Strategy.CANARY, section(canary=canary), Traffic(50.0, 0.005))[0]
    assert isinstance(first.step, Observe)
    assert first.step.until is Until.BOUND
    assert first.requests
    assert first.time == timedelta(seconds=first.requests / 50)


def test_a_next_weight_at_which_any_harm_is_acceptable_waits_for_no_requests() -> None:
    canary = CanarySection(steps=(CanaryStep(weight=1), CanaryStep(weight=2)), pace=Pace.EVIDENCE, acceptable_harm=0.02)
    assert observed(Strategy.CANARY, section(canary=canary), Traffic(50.0, 0.005))[0].requests == 0


def test_a_metric_whose_present_value_is_not_known_is_named() -> None:
    clicks = MetricRule(metric="feedback.clicks", margin=0.1, prove=True)
    proof = observed(Strategy.CANARY, section(analysis=AnalysisSection(metrics=(clicks,))), Traffic(50.0, 0.0))[0]
    assert (proof.requests, proof.time) == (None, None)
    assert proof.reason == "how many feedback.clicks takes cannot be told"


@pytest.mark.parametrize(("share", "requests"), [(50.0, 2000), (10.0, 10_000), (80.0, 5000)])
def test_a_planned_sample_takes_what_the_smaller_share_needs(share: float, requests: int) -> None:
    rules = section(ab=ABSection(share=share, sample=1000))
    sample = observed(Strategy.AB, rules, Traffic(10.0, 0.0))[0]
    assert (sample.requests, sample.time) == (requests, timedelta(seconds=requests / 10))


def test_a_sample_by_match_alone_cannot_be_told() -> None:
    rules = section(ab=ABSection(share=0.0, match=MatchRule(header="x-group", value="b")))
    sample = observed(Strategy.AB, rules, Traffic(10.0, 0.0))[0]
    assert (sample.requests, sample.time) == (None, None)
    assert "cannot be told" in sample.reason


def test_pairs_come_with_the_mirrored_share() -> None:
    rules = section(shadow=ShadowSection(share=20.0, sample=1000))
    assert observed(Strategy.SHADOW, rules, Traffic(10.0, 0.0))[0].requests == 5000


def test_the_total_leaves_out_what_nobody_knows_and_says_so() -> None:
    rules = section(blue_green=BlueGreenSection(preview=2 * MINUTE, approve=True))
    told = forecasts(Strategy.BLUE_GREEN, rules, Traffic(10.0, 0.0))
    assert total(told) == (
        timedelta(seconds=6) + 3 * MINUTE,
        ("verify", "shift", "approve", "promote", "retire"),
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.25, "0.2 s"), (40, "40 s"), (89, "89 s"), (150, "2.5 min"), (19_800, "5.5 h"), (259_200, "3 d")],
)
def test_times_are_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == text
