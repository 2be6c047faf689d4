"""Whoever carries a rollout: doors that do not answer, other hands, and having been away."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import RegistryUnreachable, TargetUnreachable
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Promote, Retire
from deployments.spec import OnDeadline, Strategy
from deployments.traffic import Weights
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import LEASE, hold
from tasks.rollout_engine.takeover import begin, settle_before_release
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World, history, to_its_end

ELSEWHERE = Owner("another-host", 1, 0.0)


class Away:
    """A door of which one method does not answer, so many times."""

    def __init__(self, door: Any, name: str, error: Exception, times: int) -> None:
        self._door, self._name, self._error, self.times = door, name, error, times

    def __getattr__(self, name: str) -> Any:
        if name == self._name and self.times > 0:
            self.times -= 1
            raise self._error
        return getattr(self._door, name)


def carried_until(world: World, phase: Phase, step: type, wish: Any = None) -> RolloutState:
    state, carrier = begin(wish or world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    while not (state.phase is phase and isinstance(state.step, step)):
        state = carrier.advance(state)
    return state


@pytest.mark.parametrize("step", [Promote, Retire])
def test_a_route_edited_before_the_last_steps_is_put_right_and_the_rollout_arrives(served: World, step: type) -> None:
    state = carried_until(served, Phase.RUNNING, step)
    live = served.router.read(PRODUCT)
    assert live is not None
    served.router.edit(PRODUCT, replace(live, weights=Weights({1: 70, 2: 30})))
    assert to_its_end(state, served.doors).phase is Phase.DONE
    served.settled()


def test_a_route_that_somebody_deleted_is_there_again_before_the_rollout_is_called_done(served: World) -> None:
    state = carried_until(served, Phase.RUNNING, Retire)
    state = Carrier(served.doors).advance(state)
    assert state.step is None
    served.router.edit(PRODUCT, None)
    assert to_its_end(state, served.doors).phase is Phase.DONE
    served.settled()


def test_an_order_while_the_servers_cannot_be_asked_is_declined_and_harms_nothing(served: World) -> None:
    state = carried_until(served, Phase.OBSERVING, Observe)
    target = Away(served.target, "versions", TargetUnreachable("supervisord does not answer"), 1)
    served.journal.give(state.rollout_id, Verb.PROMOTE, "ann", "", served.clock.now())
    state = Carrier(replace(served.doors, target=target)).advance(state)  # type: ignore[arg-type]
    assert state.phase is Phase.OBSERVING
    assert "order.declined" in history(served)


def test_a_registry_that_does_not_answer_at_the_very_end_is_not_asked(served: World) -> None:
    state = carried_until(served, Phase.RUNNING, Retire)
    state = Carrier(served.doors).advance(state)
    registry = Away(served.registry, "champion", RegistryUnreachable("MLflow does not answer"), 3)
    done = Carrier(replace(served.doors, registry=registry)).advance(state)  # type: ignore[arg-type]
    assert (done.phase, done.reason.partition(":")[0]) == (Phase.DONE, "v2 serves all traffic")
    served.settled()


def test_who_was_stopped_while_another_ended_the_rollout_changes_nothing_after_waking_up(served: World) -> None:
    stopped = Carrier(served.doors)
    stale = carried_until(served, Phase.OBSERVING, Observe)
    served.journal.release(hold(PRODUCT, served.doors))
    over = to_its_end(served.journal.rollout(PRODUCT, stale.rollout_id), served.doors)
    assert over.phase is Phase.DONE
    assert stopped.advance(stale) == over
    served.settled()
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)


def test_what_another_carrier_counted_meanwhile_is_not_counted_twice(served: World) -> None:
    state, stopped = carried_until(served, Phase.OBSERVING, Observe), Carrier(served.doors)
    state = stopped.advance(stopped.advance(state))
    served.journal.release(hold(PRODUCT, served.doors))
    theirs = served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)
    served.clock.sleep(MINUTE)
    served.journal.release(theirs)
    before = len(served.journal.evidence(state.rollout_id))
    stopped.advance(state)
    block = served.journal.evidence(state.rollout_id)[before]
    assert block.end - block.start <= SECTION.analysis.interval


def test_a_pause_is_no_healthy_time_not_even_its_last_seconds(served: World) -> None:
    state, carrier = carried_until(served, Phase.OBSERVING, Observe), Carrier(served.doors)
    served.journal.give(state.rollout_id, Verb.PAUSE, "ann", "", served.clock.now())
    state = carrier.advance(state)
    seen = state.observed
    served.clock.sleep(timedelta(seconds=9))
    served.journal.give(state.rollout_id, Verb.RESUME, "ann", "", served.clock.now())
    resumed = served.clock.now()
    while state.observed == seen:
        state = carrier.advance(state)
    assert state.observed - seen <= served.clock.now() - resumed


def test_nothing_goes_on_by_itself_at_a_deadline_while_nothing_is_known(served: World) -> None:
    analysis = SECTION.analysis.model_copy(update={"deadline": 3 * MINUTE, "on_deadline": OnDeadline.PROMOTE})
    wish = served.wish(2, Strategy.CANARY, section=SECTION.model_copy(update={"analysis": analysis}))
    state, carrier = carried_until(served, Phase.OBSERVING, Observe, wish), Carrier(served.doors)
    served.metrics.fail("the provider is away")
    done = state.done
    for _ in range(60):
        state = carrier.advance(state)
    assert (state.done, state.phase, served.served_by) == (done, Phase.HOLDING, {1: 90, 2: 10})
    served.metrics.recover()
    assert to_its_end(state, served.doors).phase is Phase.DONE


def test_a_comparison_may_be_promoted_even_after_its_candidate_was_retired(served: World) -> None:
    state, carrier = begin(served.wish(2, Strategy.SHADOW), served.doors), Carrier(served.doors)
    while state.step is not None:
        state = carrier.advance(state)
    served.journal.give(state.rollout_id, Verb.PROMOTE, "ann", "", served.clock.now())
    state = to_its_end(state, served.doors)
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    served.settled()


def watched_for_an_hour_at_most(world: World) -> RolloutState:
    analysis = SECTION.analysis.model_copy(update={"deadline": 60 * MINUTE})
    wish = world.wish(2, Strategy.CANARY, section=SECTION.model_copy(update={"analysis": analysis}))
    return carried_until(world, Phase.OBSERVING, Observe, wish)


def test_time_in_which_nobody_carried_the_rollout_is_no_part_of_its_deadline(served: World) -> None:
    state = watched_for_an_hour_at_most(served)
    state = Carrier(served.doors).advance(state)
    served.journal.release(hold(PRODUCT, served.doors))
    served.clock.sleep(5 * 60 * MINUTE)
    assert served.resume(state.rollout_id).phase is Phase.DONE


def test_an_hour_asleep_is_no_part_of_the_deadline_either(served: World) -> None:
    state, carrier = watched_for_an_hour_at_most(served), Carrier(served.doors)
    state = carrier.advance(state)
    served.clock.sleep(5 * 60 * MINUTE)
    assert carrier.advance(state).phase is Phase.OBSERVING


def test_a_rollout_that_loses_its_carrier_again_and_again_still_meets_its_deadline(served: World) -> None:
    state = watched_for_an_hour_at_most(served)
    served.rate = 0.0
    for _ in range(100):
        state = Carrier(served.doors).advance(state)
        served.journal.release(hold(PRODUCT, served.doors))
        served.clock.sleep(MINUTE / 2)
    assert state.phase is Phase.ROLLED_BACK
    assert "no decision within 1h" in state.reason


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.SHADOW])
def test_servers_that_cannot_be_retired_are_left_for_later_and_the_rollout_is_done(
    served: World, strategy: Strategy
) -> None:
    target = Away(served.target, "retire", TargetUnreachable("supervisord does not answer"), 10**6)
    state = served.run(served.wish(2, strategy), replace(served.doors, target=target))  # type: ignore[arg-type]
    winner, left = (2, 1) if strategy is Strategy.ROLLING else (1, 2)
    champion = served.registry.champion(PRODUCT)
    assert champion is not None
    assert (state.phase, champion.version, served.served_by) == (Phase.DONE, winner, {winner: 100})
    assert f"v{left} is not retired yet (supervisord does not answer)" in state.reason
    assert "rollout.left_behind" in history(served)
    settle_before_release(PRODUCT, SECTION, served.doors)
    served.settled()


def test_a_champion_is_not_undone_because_the_end_cannot_be_confirmed(served: World) -> None:
    state = carried_until(served, Phase.RUNNING, Retire, served.wish(2, Strategy.ROLLING))
    state = Carrier(served.doors).advance(state)
    registry = Away(served.registry, "champion", RegistryUnreachable("MLflow does not answer"), 130)
    state = served.resume(state.rollout_id, replace(served.doors, registry=registry))  # type: ignore[arg-type]
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    served.settled()


def test_a_failed_promotion_still_puts_the_champion_back(served: World) -> None:
    state = carried_until(served, Phase.RUNNING, Promote, served.wish(2, Strategy.ROLLING))
    registry = Away(served.registry, "promote", RegistryUnreachable("MLflow does not answer"), 130)
    state = served.resume(state.rollout_id, replace(served.doors, registry=registry))  # type: ignore[arg-type]
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    served.settled()


def test_an_abort_between_promotion_and_retirement_still_puts_the_champion_back(served: World) -> None:
    state = carried_until(served, Phase.RUNNING, Retire, served.wish(2, Strategy.ROLLING))
    served.journal.give(state.rollout_id, Verb.ABORT, "ann", "", served.clock.now())
    assert to_its_end(state, served.doors).phase is Phase.ROLLED_BACK
    served.settled()


@pytest.mark.parametrize("step", [Observe, Promote, Retire])
def test_promote_changes_nothing_once_the_candidate_has_all_traffic(served: World, step: type) -> None:
    state, carrier = begin(served.wish(2, Strategy.BLUE_GREEN), served.doors), Carrier(served.doors)
    while not (isinstance(state.step, step) and served.served_by == {2: 100}):
        state = carrier.advance(state)
    served.journal.give(state.rollout_id, Verb.PROMOTE, "ann", "", served.clock.now())
    over = to_its_end(state, served.doors)
    assert (over.phase, over.steps) == (Phase.DONE, state.steps)
    declined = [event for event in served.journal.events(PRODUCT) if event.kind == "order.declined"]
    assert "all traffic already" in declined[0].detail["why"]
