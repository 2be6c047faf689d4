"""Rollouts over in-memory doors: they arrive, or the champion is put back, and the history says why."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.errors import Busy, RolloutFailed
from deployments.process_identity import Owner
from deployments.registry import DeploymentStatus
from deployments.rollout.state import Phase
from deployments.rollout.steps import Shift
from deployments.routers.in_memory import InMemoryRouter
from deployments.spec import ABSection, RolloutSection, Strategy
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import Behaviour
from deployments.targets.protocol import Launch
from deployments.traffic import Routing, Weights
from tasks.rollout_engine.lease import LEASE
from tasks.rollout_engine.reasons import outcome
from tasks.rollout_engine.restore_champion import restore
from tasks.rollout_engine.takeover import begin, settle_before_release
from tasks.rollout_engine.traffic_shift import retire, shift
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World, history

ELSEWHERE = Owner("another-host", 1, 0.0)


def test_a_first_version_gets_all_traffic(world: World) -> None:
    state = outcome(world.run(world.wish(1)))
    assert (state.phase, state.former, world.served_by) == (Phase.DONE, None, {1: 100})
    world.settled()


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.BLUE_GREEN, Strategy.CANARY])
def test_a_healthy_version_replaces_the_champion(served: World, strategy: Strategy) -> None:
    state = outcome(served.run(served.wish(2, strategy)))
    assert (state.former, served.served_by, served.unanswered) == (1, {2: 100}, 0)
    previous = served.registry.previous(PRODUCT)
    assert previous is not None
    assert (previous.version, previous.status) == (1, DeploymentStatus.RETIRED)
    served.settled()


@pytest.mark.parametrize("strategy", [Strategy.AB, Strategy.SHADOW])
def test_a_comparison_leaves_the_champion_serving_and_keeps_the_candidate(served: World, strategy: Strategy) -> None:
    state = outcome(served.run(served.wish(2, strategy)))
    assert (state.reason, served.served_by) == ("v1 serves as before: neither won", {1: 100})
    assert served.registry.get(PRODUCT, 2).status is DeploymentStatus.REGISTERED
    served.settled()


def test_an_ab_test_without_a_winner_does_not_promote(served: World) -> None:
    section = SECTION.model_copy(update={"ab": ABSection(sample=500, then="promote")})
    state = served.run(served.wish(2, Strategy.AB, section=section))
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    assert "neither won" in state.reason
    served.settled()


def test_an_ab_test_gives_the_winner_all_traffic_if_it_is_told_to(served: World) -> None:
    section = SECTION.model_copy(update={"ab": ABSection(sample=5000, then="promote")})
    served.errors[1] = 0.06
    state = served.run(served.wish(2, Strategy.AB, section=section))
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    assert any(event.detail.get("seen") == "v2 won" for event in served.journal.events(PRODUCT))
    served.settled()


@pytest.mark.parametrize("strategy", [Strategy.BLUE_GREEN, Strategy.CANARY, Strategy.AB])
def test_a_version_that_breaks_under_traffic_is_taken_back(served: World, strategy: Strategy) -> None:
    served.errors[2] = 0.4
    state = served.run(served.wish(2, strategy))
    assert (state.phase, served.served_by, served.unanswered) == (Phase.ROLLED_BACK, {1: 100}, 0)
    assert "limit 10 % broken" in state.reason or "harm proved" in state.reason
    assert served.registry.get(PRODUCT, 2).status is DeploymentStatus.REFUSED
    served.settled()


def test_a_canary_that_only_grows_slow_is_taken_back(served: World) -> None:
    served.latency_ms[2] = 80.0
    state = served.run(served.wish(2, Strategy.CANARY))
    assert state.phase is Phase.ROLLED_BACK
    assert "latency" in state.reason
    served.settled()


def test_a_rollback_brings_the_former_champion_back_and_marks_the_other(served: World) -> None:
    served.run(served.wish(2))
    outcome(served.run(served.wish(1, goal=Goal.REINSTATE, rollout_id="back")))
    assert served.served_by == {1: 100}
    assert served.registry.get(PRODUCT, 2).status is DeploymentStatus.ROLLED_BACK
    served.settled()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.FAILING, "cannot start: scripted to fail"),
        (Behaviour.NEVER_READY, "not ready after 60 s"),
        (Behaviour.ANSWERING_WRONGLY, "but training said"),
    ],
)
@pytest.mark.parametrize("strategy", Strategy)
def test_servers_that_are_not_fit_never_get_traffic(
    served: World, strategy: Strategy, behaviour: Behaviour, reason: str
) -> None:
    served.target.script(PRODUCT, 2, behaviour)
    state = served.run(served.wish(2, strategy))
    assert state.phase is Phase.ROLLED_BACK
    with pytest.raises(RolloutFailed, match=f"{reason}.*v1 serves as before"):
        outcome(state)
    assert served.served_by == {1: 100}
    served.settled()


def test_a_first_version_that_is_not_fit_leaves_nothing(world: World) -> None:
    world.target.script(PRODUCT, 1, Behaviour.FAILING)
    with pytest.raises(RolloutFailed, match="Nothing is served, as before"):
        outcome(world.run(world.wish(1)))
    world.settled()


def test_the_lease_outlasts_the_longest_step_that_the_spec_allows(world: World) -> None:
    begin(world.wish(1, section=RolloutSection(ready_timeout=timedelta(hours=2))), world.doors)
    world.clock.sleep(timedelta(hours=2))
    with pytest.raises(Busy):
        world.journal.acquire(PRODUCT, ELSEWHERE, world.clock.now(), LEASE)


def test_the_lease_is_free_after_the_end(served: World) -> None:
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)


def test_a_hand_edited_route_is_put_right_by_restore(served: World) -> None:
    served.router.remove(PRODUCT)
    restore(PRODUCT, SECTION, served.doors)
    served.settled()


def test_the_way_back_gives_the_champion_all_traffic_before_it_waits_for_anything(served: World) -> None:
    served.target.launch(Launch(PRODUCT, 2, served.folder, 2))
    shift(PRODUCT, Shift(Weights({1: 50, 2: 50})), served.doors)
    patient = RolloutSection(replicas=3, ready_timeout=timedelta(minutes=1))
    seen: list[dict[int, float]] = []
    served.clock.passing = lambda _: seen.append(served.served_by)
    served.target.script(PRODUCT, 1, Behaviour.READY)
    restore(PRODUCT, patient, served.doors)
    assert seen == [] or all(each == {1: 100} for each in seen)
    served.settled()


def test_what_happened_is_in_the_history(served: World) -> None:
    kinds = history(served)
    assert (kinds[0], kinds[-1]) == ("rollout.started", "rollout.done")
    assert kinds.count("step.intended") == kinds.count("step.done") == 4


def test_a_gateway_that_reports_other_weights_than_asked_for_fails_the_step(served: World) -> None:
    served.target.launch(Launch(PRODUCT, 2, served.folder, 1))

    class Deaf(InMemoryRouter):
        def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
            """Takes it and does nothing."""

        def read(self, product: str) -> Routing | None:
            return served.router.read(product)

    with pytest.raises(RolloutFailed, match="gateway reports v1 100 %"):
        shift(PRODUCT, Shift(Weights.all_to(2)), replace(served.doors, router=Deaf()))


def test_a_version_that_still_has_traffic_is_not_retired(served: World) -> None:
    with pytest.raises(RolloutFailed, match="still has 100 % of the traffic"):
        retire(PRODUCT, 1, RolloutSection(), served.doors)
    assert served.target.versions(PRODUCT) == (1,)


def test_servers_and_routes_that_no_rollout_accounts_for_are_cleaned_up(served: World) -> None:
    served.target.launch(Launch(PRODUCT, 3, served.folder, 1))
    shift(PRODUCT, Shift(Weights({1: 60, 3: 40})), served.doors)
    assert settle_before_release(PRODUCT, SECTION, served.doors) == "v1 has all traffic"
    assert history(served)[-1] == "traffic.repaired"
    served.settled()
    assert settle_before_release(PRODUCT, SECTION, served.doors) is None


def test_a_product_without_a_champion_keeps_no_stray_servers(world: World) -> None:
    assert settle_before_release(PRODUCT, SECTION, world.doors) is None
    world.target.launch(Launch(PRODUCT, 2, world.folder, 1))
    assert settle_before_release(PRODUCT, SECTION, world.doors) == "no champion yet: nothing is served"
    world.settled()
