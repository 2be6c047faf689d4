"""Plans as data."""

from datetime import timedelta

import pytest

from deployments.rollout.steps import (
    Approve,
    Conclude,
    Dismiss,
    Launch,
    Observe,
    Promote,
    Reinstate,
    Retire,
    Shift,
    Step,
    Until,
    Verify,
)
from deployments.routers.kubernetes_service import pods_for
from deployments.spec import (
    ABSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    MatchRule,
    Pace,
    RolloutSection,
    ShadowSection,
    StickyKey,
    Strategy,
)
from deployments.strategies.plan import Change, Goal, finale, plan
from deployments.traffic import Match, Mirror, Weights
from deployments.traffic import StickyKey as Key

KEY = Key(header="x-seatrial-key")
NEW = Change(Goal.PROMOTE, candidate=3, champion=2, running=(2,))
BACK = Change(Goal.REINSTATE, candidate=1, champion=2, running=(2,))
FIRST = Change(Goal.PROMOTE, candidate=1, champion=None, running=())
BAKED = RolloutSection(bake=timedelta(minutes=2))


def split(candidate: float) -> Shift:
    return Shift(Weights({2: 100 - candidate, 3: candidate}), key=KEY)


def test_rolling_shifts_a_share_for_each_server_and_retires_last() -> None:
    assert plan(Strategy.ROLLING, NEW, RolloutSection(replicas=4)) == (
        Launch(3, 4),
        Verify(3),
        split(25),
        split(50),
        split(75),
        Shift(Weights.all_to(3), key=KEY),
        Promote(3),
        Retire(2),
    )


@pytest.mark.parametrize("replicas", [2, 3, 7, 32])
def test_rolling_takes_shares_that_whole_servers_make(replicas: int) -> None:
    steps = plan(Strategy.ROLLING, NEW, RolloutSection(replicas=replicas))
    weights = [step.weights for step in steps if isinstance(step, Shift)]
    taken = [pods_for(each, {2: replicas, 3: replicas}) for each in weights[:-1]]
    shares = [pods[3] / sum(pods.values()) for pods in taken if pods]
    assert shares == pytest.approx([count / replicas for count in range(1, replicas)])


def test_blue_green_switches_at_once_after_checks_and_keeps_the_old_colour_warm() -> None:
    section = RolloutSection(
        blue_green=BlueGreenSection(preview=timedelta(minutes=1), approve=True), bake=timedelta(minutes=2)
    )
    assert plan(Strategy.BLUE_GREEN, NEW, section) == (
        Launch(3, 1),
        Verify(3),
        split(0),
        Observe(Until.TIME, timedelta(minutes=1)),
        Approve("give all traffic to v3?"),
        Shift(Weights.all_to(3), key=KEY),
        Observe(Until.TIME, timedelta(minutes=2)),
        Promote(3),
        Retire(2),
    )


def test_a_canary_rises_by_the_clock_and_gets_all_traffic_only_by_proof() -> None:
    steps = (CanaryStep(weight=5), CanaryStep(weight=0.5 + 20, wait=timedelta(minutes=9), approve=True))
    section = RolloutSection(canary=CanarySection(steps=steps, wait=timedelta(minutes=3)), bake=timedelta(minutes=2))
    assert plan(Strategy.CANARY, NEW, section)[2:] == (
        split(5),
        Observe(Until.TIME, timedelta(minutes=3)),
        split(20.5),
        Observe(Until.PROOF, timedelta(minutes=9)),
        Approve("raise v3 from 20.5 % to 100 %?"),
        *finale(NEW, section),
    )


def test_a_canary_may_rise_by_evidence_instead() -> None:
    section = RolloutSection(
        canary=CanarySection(steps=(CanaryStep(weight=5), CanaryStep(weight=50)), pace=Pace.EVIDENCE)
    )
    watched = [step for step in plan(Strategy.CANARY, NEW, section) if isinstance(step, Observe)]
    assert watched[:2] == [Observe(Until.BOUND, timedelta(0), next=50.0), Observe(Until.PROOF, timedelta(0))]


def test_an_ab_test_reports_and_leaves_the_champion_in_place() -> None:
    section = RolloutSection(ab=ABSection(share=20, sample=500, match=MatchRule(cookie="group", value="b")))
    assert plan(Strategy.AB, NEW, section) == (
        Launch(3, 1),
        Verify(3),
        Shift(Weights({2: 80, 3: 20}), (Match(3, "b", cookie="group"),), None, KEY),
        Observe(Until.SAMPLE, timedelta(0), sample=500),
        Conclude(3, winner_only=False),
        Shift(Weights.all_to(2), key=KEY),
        Dismiss(3),
        Retire(3),
    )


def test_an_ab_test_may_give_the_winner_all_traffic() -> None:
    steps = plan(Strategy.AB, NEW, RolloutSection(ab=ABSection(then="promote"), bake=timedelta(0)))
    assert steps[4:] == (Conclude(3, winner_only=True), Shift(Weights.all_to(3), key=KEY), Promote(3), Retire(2))


def test_a_shadow_never_answers_anybody() -> None:
    section = RolloutSection(shadow=ShadowSection(share=10, sample=50), key=StickyKey(cookie="user"))
    steps = plan(Strategy.SHADOW, NEW, section)
    key = Key(cookie="user")
    assert steps[2] == Shift(Weights.all_to(2), (), Mirror(3, 10), key)
    assert steps[3:] == (
        Observe(Until.SAMPLE, timedelta(0), sample=50),
        Conclude(3, winner_only=False),
        Shift(Weights.all_to(2), key=key),
        Dismiss(3),
        Retire(3),
    )


@pytest.mark.parametrize("strategy", Strategy)
def test_without_a_champion_there_is_nothing_to_compare_with(strategy: Strategy) -> None:
    assert plan(strategy, FIRST, BAKED) == (
        Launch(1, 1),
        Verify(1),
        Shift(Weights.all_to(1), key=KEY),
        Promote(1),
    )


@pytest.mark.parametrize("strategy", Strategy)
def test_a_rollback_reinstates_and_never_promotes(strategy: Strategy) -> None:
    section = RolloutSection(ab=ABSection(then="promote"))
    steps = plan(strategy, BACK, section)
    assert not [step for step in steps if isinstance(step, Promote)]
    if strategy is not Strategy.SHADOW:
        assert Reinstate(1) in steps


@pytest.mark.parametrize("strategy", Strategy)
def test_the_candidate_is_launched_and_verified_before_anything_moves(strategy: Strategy) -> None:
    kinds = [type(step) for step in plan(strategy, NEW, BAKED)]
    assert kinds[:3] == [Launch, Verify, Shift]


@pytest.mark.parametrize("strategy", Strategy)
def test_nobody_is_retired_who_still_has_traffic(strategy: Strategy) -> None:
    live: dict[int, float] = {2: 100.0}
    for step in plan(strategy, NEW, BAKED):
        if isinstance(step, Shift):
            live = {version: percent for version, percent in step.weights.percents.items() if percent}
        if isinstance(step, Retire):
            assert step.version not in live


def test_servers_of_the_candidate_that_run_already_are_not_retired() -> None:
    steps: tuple[Step, ...] = plan(Strategy.ROLLING, Change(Goal.PROMOTE, 3, 1, (1, 3)), RolloutSection())
    assert Retire(3) not in steps
