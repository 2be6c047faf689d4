"""What happens while a candidate is watched: outages, silence, other hands."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import RolloutFailed, RouterUnreachable
from deployments.process_identity import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Shift
from deployments.spec import CanarySection, CanaryStep, MetricRule, Pace, Second, Strategy
from deployments.targets.in_memory import Behaviour
from deployments.traffic import StickyKey, Weights
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.explanation import replay
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World

STRATEGIES_THAT_WAIT = [Strategy.BLUE_GREEN, Strategy.CANARY, Strategy.AB, Strategy.SHADOW]


class Trail:
    """The phases that a rollout went through, and what happened to it on the way."""

    def __init__(self) -> None:
        self.states: list[RolloutState] = []

    def __call__(self, state: RolloutState) -> None:
        self.states.append(state)

    @property
    def phases(self) -> list[Phase]:
        return [state.phase for state in self.states]


def outage_at(world: World, position: int) -> Any:
    """For ten minutes after the step at `position` began nothing can be read."""
    over: list[Any] = []

    def between(state: RolloutState) -> None:
        if state.done == position and not over:
            over.append(world.clock.now() + 10 * MINUTE)
            world.metrics.fail("the provider is away")
        if over and world.clock.now() >= over[0]:
            world.metrics.recover()

    return between


@pytest.mark.parametrize("strategy", STRATEGIES_THAT_WAIT)
def test_ten_minutes_without_metrics_in_any_step_only_delay(strategy: Strategy, tmp_path: Any) -> None:
    plain = World(tmp_path)
    plain.run(plain.wish(1))
    expected = plain.run(plain.wish(2, strategy))
    watched = [position for position, step in enumerate(expected.steps) if isinstance(step, Observe)]
    for position in watched:
        world = World(tmp_path)
        world.run(world.wish(1))
        state = world.run(world.wish(2, strategy), between=outage_at(world, position))
        assert (state.phase, world.served_by) == (expected.phase, plain.served_by), state.reason
        delay = (state.updated_at - state.started_at) - (expected.updated_at - expected.started_at)
        assert delay >= 9 * MINUTE, f"step {position} went on blindly"
        world.settled()


def without_servers_for(world: World, span: timedelta) -> Any:
    """For so long after the first shift nothing is counted, and no server of v2 is ready."""
    over: list[Any] = []

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Observe) and not over:
            over.append(world.clock.now() + span)
            world.metrics.fail("nobody answers")
            world.target.script(PRODUCT, 2, Behaviour.NEVER_READY)
        if over and world.clock.now() >= over[0]:
            world.metrics.recover()
            world.target.script(PRODUCT, 2, Behaviour.READY)

    return between


def test_a_candidate_whose_servers_are_gone_is_rolled_back_although_nobody_counts_its_failures(served: World) -> None:
    began = served.clock.now()
    state = served.run(served.wish(2, Strategy.CANARY), between=without_servers_for(served, 60 * MINUTE))
    assert state.phase is Phase.ROLLED_BACK
    assert "no server of v2 has been ready for 60 s" in state.reason
    assert served.clock.now() - began < 5 * MINUTE
    assert all(verdict.identical for verdict in replay(state, served.journal))
    served.settled()


def test_servers_that_are_not_ready_for_half_a_minute_only_delay(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=without_servers_for(served, MINUTE / 2))
    assert state.phase is Phase.DONE, state.reason
    served.settled()


def hanging_for(world: World, span: timedelta) -> Any:
    """For so long after the first shift v2 answers nobody, nor tells who left; ten seconds later it is not ready."""
    since: list[Any] = []

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Observe) and not since:
            since.append(world.clock.now())
            world.cut[2] = 1.0
        if since and world.clock.now() - since[0] >= span:
            world.cut[2] = 0.0
            world.target.script(PRODUCT, 2, Behaviour.READY)
        elif since and world.clock.now() - since[0] >= MINUTE / 6:
            world.target.script(PRODUCT, 2, Behaviour.NEVER_READY)

    return between


def test_a_candidate_that_hangs_has_no_traffic_within_a_minute(served: World) -> None:
    """The loop of its server stands still, so that who waited for it is in nobody's count; soon it is not ready."""
    trail = Trail()
    hang = hanging_for(served, 60 * MINUTE)

    def between(state: RolloutState) -> None:
        trail(state)
        hang(state)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.ROLLED_BACK
    assert "no server of v2 is ready, and none of its users has had an answer for 45 s" in state.reason
    watched = [each.updated_at for each in trail.states if isinstance(each.step, Observe)]
    assert max(watched) - min(watched) < MINUTE
    served.settled()


def test_a_candidate_that_hangs_for_twenty_seconds_is_only_delayed(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=hanging_for(served, MINUTE / 3))
    assert state.phase is Phase.DONE, state.reason
    served.settled()


def test_two_short_absences_of_servers_with_answers_between_them_are_no_long_one(served: World) -> None:
    began: list[Any] = []

    def between(state: RolloutState) -> None:
        if isinstance(state.step, Observe) and not began:
            began.append(served.clock.now())
        passed = (served.clock.now() - began[0]) / MINUTE if began else 9.0
        gone = passed < 0.5 or 1.5 <= passed < 2.0
        served.metrics.fail("nobody answers") if gone else served.metrics.recover()
        served.target.script(PRODUCT, 2, Behaviour.NEVER_READY if gone else Behaviour.READY)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.DONE, state.reason
    served.settled()


def test_a_hold_says_what_is_missing_and_moves_nothing(served: World) -> None:
    trail = Trail()
    outage = outage_at(served, 3)
    seen: list[dict[int, float]] = []

    def between(state: RolloutState) -> None:
        trail(state)
        outage(state)
        if state.phase is Phase.HOLDING:
            seen.append(served.served_by)

    served.run(served.wish(2, Strategy.CANARY), between=between)
    held = [state for state in trail.states if state.phase is Phase.HOLDING]
    assert (
        "nothing is known of the traffic: the counters of bikes cannot be read: the provider is away" in held[0].reason
    )
    assert all(each == {1: 90, 2: 10} for each in seen)
    assert len({state.observed for state in held}) == 1


def test_silence_is_neither_health_nor_harm(served: World) -> None:
    def quiet_at_first(state: RolloutState) -> None:
        served.rate = 0.0 if served.clock.monotonic() < 1800 else 50.0

    trail = Trail()

    def between(state: RolloutState) -> None:
        trail(state)
        quiet_at_first(state)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.DONE
    assert "no traffic" in {each.reason for each in trail.states}
    assert served.clock.monotonic() >= 1800 + 4 * 60


def test_a_deadline_ends_an_endless_silence(served: World) -> None:
    served.rate = 0.0
    state = served.run(served.wish(2, Strategy.CANARY))
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    assert "no decision within 2h" in state.reason
    assert "no traffic" in state.reason


def test_a_split_that_is_not_as_configured_is_no_evidence(served: World) -> None:
    trail = Trail()
    original = served.metrics.serve

    def lopsided(product: str, version: int, **counted: Any) -> None:
        original(product, version, **counted)
        if version == 2:  # the gateway sends the candidate five times what it reports
            original(product, version, **{**counted, "requests": 4 * counted["requests"], "errors": 0})

    served.metrics.serve = lopsided  # type: ignore[method-assign]
    section = SECTION.model_copy(
        update={"analysis": SECTION.analysis.model_copy(update={"deadline": timedelta(minutes=5)})}
    )
    state = served.run(served.wish(2, Strategy.CANARY, section=section), between=trail)
    assert Phase.HOLDING in trail.phases
    assert state.phase is Phase.ROLLED_BACK
    assert "no decision within 5m" in state.reason


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ({"weights": Weights({1: 0, 2: 100})}, "to v2 100 %: put right"),
        ({"key": StickyKey(header="x-user")}, "to v1 90 %, v2 10 % by header x-user: put right"),
    ],
)
def test_other_hands_on_the_route_are_noticed_and_put_right(served: World, edit: dict[str, Any], told: str) -> None:
    edited: list[bool] = []
    trail = Trail()

    def between(state: RolloutState) -> None:
        trail(state)
        if state.phase is Phase.OBSERVING and not edited:
            live = served.router.read(PRODUCT)
            assert live is not None
            served.router.edit(PRODUCT, replace(live, **edit))
            edited.append(True)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.DONE
    assert any(f"somebody else had changed the traffic {told}" in each.reason for each in trail.states), [
        each.reason for each in trail.states
    ]


def test_counters_that_begin_again_lose_no_evidence_and_make_none_up(served: World) -> None:
    restarted: list[bool] = []

    def between(state: RolloutState) -> None:
        if state.observed > timedelta(seconds=15) and not restarted:
            served.metrics.restart()
            restarted.append(True)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert restarted
    assert state.phase is Phase.DONE
    counted = sum(
        block.stable.requests + block.candidate.requests for block in served.journal.evidence(state.rollout_id)
    )
    assert counted <= served.rate * served.clock.monotonic()


def test_evidence_may_set_the_pace(served: World) -> None:
    steps = (CanaryStep(weight=1), CanaryStep(weight=10), CanaryStep(weight=50))
    canary = CanarySection(steps=steps, pace=Pace.EVIDENCE, wait=MINUTE)
    section = SECTION.model_copy(update={"canary": canary})
    trail = Trail()
    state = served.run(served.wish(2, Strategy.CANARY, section=section), between=trail)
    assert state.phase is Phase.DONE
    served.settled()


def test_a_gateway_that_is_restarted_is_waited_for_and_repaired(served: World) -> None:
    away = [3]

    class Restarting:
        def __getattr__(self, name: str) -> Any:
            if name == "apply" and away[0]:
                away[0] -= 1
                raise RouterUnreachable("the gateway does not answer")
            return getattr(served.router, name)

    repairs: list[bool] = []
    doors = replace(served.doors, router=Restarting(), repair=lambda: repairs.append(True))  # type: ignore[arg-type]
    state = served.run(served.wish(2, Strategy.ROLLING), doors)
    assert (state.phase, len(repairs)) == (Phase.DONE, 3)
    served.settled()


def test_a_canary_goes_up_exactly_as_planned(served: World) -> None:
    seen: list[float] = []

    def between(state: RolloutState) -> None:
        share = served.served_by.get(2, 0)
        if not seen or seen[-1] != share:
            seen.append(share)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert seen == [0, 10, 50, 100]
    assert [step.weights.of(2) for step in state.steps if isinstance(step, Shift)] == [10, 50, 100]


def test_a_rollout_that_cannot_begin_leaves_nothing(served: World) -> None:
    wish = served.wish(2, section=SECTION.model_copy(update={"second": Second.QUEUE}))
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), timedelta(days=1))
    with pytest.raises(RolloutFailed, match="cancelled in Prefect"):
        begin(wish, served.doors, stop=lambda: "cancelled in Prefect")
    assert len(served.journal.rollouts(PRODUCT)) == 1


def shadow_of(world: World, mute: int, *metrics: MetricRule) -> RolloutState:
    """A shadow whose candidate never answers, after ten minutes of looks."""
    world.mute.add(mute)
    analysis = SECTION.analysis.model_copy(update={"metrics": metrics} if metrics else {})
    section = SECTION.model_copy(update={"analysis": analysis})
    state, carrier = begin(world.wish(mute, Strategy.SHADOW, section=section), world.doors), Carrier(world.doors)
    while state.live and world.clock.monotonic() < 600:
        state = carrier.advance(state)
    return state


def test_a_shadow_that_cannot_answer_ends_by_its_error_rate_long_before_the_deadline(served: World) -> None:
    state = shadow_of(served, 2)
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    assert "errors" in state.reason
    assert served.clock.monotonic() < 60
    served.settled()


def test_a_shadow_that_cannot_answer_says_so_where_no_metric_could_end_it(served: World) -> None:
    state = shadow_of(served, 2, MetricRule(metric="disagreement", margin=0.1))
    assert (state.phase, state.observed) == (Phase.HOLDING, timedelta(0))
    assert "v2 has answered nothing at this step yet: " in state.reason
    assert state.reason.endswith("requests to it failed")


def at_one_percent(world: World, rate: float) -> RolloutState:
    """A canary at 1 % that has been looked at for ten minutes."""
    world.rate = rate
    canary = CanarySection(steps=(CanaryStep(weight=1), CanaryStep(weight=50)), wait=MINUTE)
    section = SECTION.model_copy(update={"canary": canary})
    state, carrier = begin(world.wish(2, Strategy.CANARY, section=section), world.doors), Carrier(world.doors)
    while world.clock.monotonic() < 600:
        state = carrier.advance(state)
    return state


def test_a_weight_at_which_the_candidate_was_never_met_does_not_rise(served: World) -> None:
    state = at_one_percent(served, rate=0.05)
    assert (state.phase, state.observed, served.served_by) == (Phase.HOLDING, timedelta(0), {1: 99, 2: 1})
    assert state.reason == "v2 has answered nothing at this step yet"
    served.rate = 50.0
    carrier = Carrier(served.doors)
    while state.done < 4:
        state = carrier.advance(state)
    assert served.clock.monotonic() - 600 >= MINUTE.total_seconds(), "the whole step comes after the first answer"


def test_an_answer_of_an_earlier_step_does_not_count_for_the_next(served: World) -> None:
    state, carrier = begin(served.wish(2, Strategy.CANARY), served.doors), Carrier(served.doors)
    while state.done < 5:
        state = carrier.advance(state)
    served.mute.add(2)
    served.rate = 0.02
    for _ in range(12):
        state = carrier.advance(state)
    assert (state.done, state.observed) == (5, timedelta(0))


def test_a_preview_that_nobody_is_sent_to_needs_no_answer(served: World) -> None:
    state = served.run(served.wish(2, Strategy.BLUE_GREEN), between=silent_while_previewed(served))
    assert state.phase is Phase.DONE


def test_the_time_of_a_preview_runs_without_any_traffic(served: World) -> None:
    served.rate, held = 0.0, []
    state, carrier = begin(served.wish(2, Strategy.BLUE_GREEN), served.doors), Carrier(served.doors)
    while not isinstance(state.step, Observe):
        state = carrier.advance(state)
    began, step = served.clock.monotonic(), state.done
    while state.done == step and served.clock.monotonic() - began < 600:
        state = carrier.advance(state)
        held += [state.reason] if state.phase is Phase.HOLDING else []
    assert not held
    assert served.clock.monotonic() - began == SECTION.blue_green.preview.total_seconds()
    assert state.reason == "the preview was open for 30s; nobody was sent to it"


def test_a_bake_without_traffic_is_no_preview(served: World) -> None:
    served.rate = 0.0
    state, carrier = begin(served.wish(2, Strategy.BLUE_GREEN), served.doors), Carrier(served.doors)
    while served.clock.monotonic() < 1200:
        state = carrier.advance(state)
    assert (state.phase, state.observed, state.reason) == (Phase.HOLDING, timedelta(0), "no traffic")


def silent_while_previewed(world: World) -> Any:
    def between(state: RolloutState) -> None:
        if state.phase is Phase.HOLDING:
            assert world.served_by != {1: 100}, state.reason

    return between
