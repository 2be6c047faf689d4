"""What a release would take now: learnt from the last rollouts and the counters."""

from datetime import timedelta

import pytest

from deployments.spec import Strategy
from deployments.strategies.forecast import Traffic
from deployments.strategies.plan import Change, Goal
from tasks.rollout_engine.release_preview import forecast_rollout, present_traffic, recent_times
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

THREE_SECONDS = timedelta(seconds=3)


def test_the_rate_is_what_comes_between_two_readings(served: World) -> None:
    served.clock.sleep(timedelta(minutes=1))
    traffic = present_traffic(PRODUCT, 1, served.metrics, served.clock, THREE_SECONDS)
    assert traffic.rate == pytest.approx(50, rel=0.02)


def test_the_error_rate_is_the_champions(served: World) -> None:
    served.errors[1] = 0.05
    served.clock.sleep(timedelta(minutes=10))
    traffic = present_traffic(PRODUCT, 1, served.metrics, served.clock, THREE_SECONDS)
    assert traffic.error_rate == pytest.approx(0.05, rel=0.1)


def test_without_requests_the_rate_is_nought_and_the_errors_are_assumed(served: World) -> None:
    served.rate = 0.0
    served.metrics.restart()
    assert present_traffic(PRODUCT, 1, served.metrics, served.clock, THREE_SECONDS) == Traffic(0.0, 0.005)


def test_while_the_counters_cannot_be_read_nothing_is_known(served: World) -> None:
    served.metrics.fail("the gateway is away")
    assert present_traffic(PRODUCT, 1, served.metrics, served.clock, THREE_SECONDS) == Traffic()


def test_times_are_learnt_by_kind_of_step_and_never_of_observations(served: World) -> None:
    served.run(served.wish(2, Strategy.CANARY))
    times = recent_times(PRODUCT, served.journal)
    assert {"launch", "verify", "shift", "promote", "retire"} <= set(times)
    assert "observe" not in times


def test_an_outlook_has_a_forecast_for_each_step_of_the_plan(served: World) -> None:
    section = SECTION.model_copy(update={"strategy": Strategy.CANARY})
    change = Change(Goal.PROMOTE, 2, 1, (1,))
    ahead = forecast_rollout(PRODUCT, change, section, Traffic(50.0, 0.002), served.journal)
    state = served.run(served.wish(2, Strategy.CANARY))
    assert [each.step for each in ahead.forecasts] == list(state.steps)


def test_a_healthy_rollout_ends_about_when_the_forecast_says(served: World) -> None:
    section = SECTION.model_copy(update={"strategy": Strategy.CANARY})
    ahead = forecast_rollout(PRODUCT, Change(Goal.PROMOTE, 2, 1, (1,)), section, Traffic(50.0, 0.002), served.journal)
    told = sum((each.time or timedelta(0) for each in ahead.forecasts), timedelta(0))
    state = served.run(served.wish(2, Strategy.CANARY))
    assert told / 2 < state.updated_at - state.started_at < 2 * told


def test_mirrored_copies_are_no_traffic(served: World) -> None:
    served.clock.passing = lambda _: served.metrics.mirror(PRODUCT, 2, 100, 0)
    served.rate = 0.0
    assert present_traffic(PRODUCT, 1, served.metrics, served.clock, THREE_SECONDS).rate == 0
