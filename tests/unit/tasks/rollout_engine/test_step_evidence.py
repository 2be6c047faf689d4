"""What a step of a rollout must have seen of its candidate before the next one."""

from datetime import timedelta
from typing import Any

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe
from deployments.spec import CanarySection, CanaryStep, MetricRule, Strategy
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import MINUTE, SECTION, World


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
