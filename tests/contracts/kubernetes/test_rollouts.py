"""The engine on the doors of a cluster: every strategy to its end, harm taken back, and kills at any moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.rollout.state import Phase, RolloutState
from deployments.spec import CanarySection, CanaryStep, Strategy
from deployments.strategies.plan import Goal
from tasks.rollout_engine.takeover import Wish
from tests.contracts.kubernetes.breaking import once
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import IMAGE_MISSING, UNSCHEDULABLE, FakeKubernetes
from tests.unit.tasks.rollout_engine.test_crash import ALL, BEFORE_THE_PLAN, Killed, Life, mortal, statuses, waits
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION

Case = Callable[[ClusterWorld], Wish]


@contextmanager
def a_world(folder: Path) -> Iterator[ClusterWorld]:
    with FakeKubernetes() as api:
        yield ClusterWorld(folder, api=api)


def of(strategy: Strategy) -> Case:
    def prepared(world: ClusterWorld) -> Wish:
        world.run(world.wish(1))
        return world.wish(2, strategy)

    return prepared


def harmful(world: ClusterWorld) -> Wish:
    world.errors[2] = 0.2
    return of(Strategy.CANARY)(world)


def unfit(world: ClusterWorld) -> Wish:
    world.wrong.add(2)
    return of(Strategy.ROLLING)(world)


def back(world: ClusterWorld) -> Wish:
    world.run(world.wish(1))
    world.run(world.wish(2))
    return world.wish(1, goal=Goal.REINSTATE, rollout_id="back")


CASES: dict[str, Case] = {
    **{strategy.value: of(strategy) for strategy in Strategy},
    "harmful canary": harmful,
    "unfit servers": unfit,
    "first version": lambda world: world.wish(1),
    "rollback": back,
}
ENDS = dict.fromkeys(CASES, Phase.DONE) | {"harmful canary": Phase.ROLLED_BACK, "unfit servers": Phase.ROLLED_BACK}


@pytest.fixture
def world(api: FakeKubernetes, tmp_path: Path) -> ClusterWorld:
    return ClusterWorld(tmp_path, api=api)


@pytest.mark.parametrize("case", CASES)
def test_a_rollout_in_a_cluster_comes_to_its_end_and_loses_no_request(case: str, world: ClusterWorld) -> None:
    wish = CASES[case](world)
    state = world.run(wish)
    assert state.phase is ENDS[case], state.reason
    assert world.unanswered == 0 or case == "first version"
    world.settled()


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.BLUE_GREEN, Strategy.CANARY])
def test_without_a_gateway_whole_pods_are_rolled_out_alike(
    api: FakeKubernetes, tmp_path: Path, strategy: Strategy
) -> None:
    world = ClusterWorld(tmp_path, api=api, gateway=False)
    canary = CanarySection(steps=(CanaryStep(weight=33.33), CanaryStep(weight=50)), wait=MINUTE)
    section = SECTION.model_copy(update={"canary": canary})
    world.run(world.wish(1, section=section))
    state = world.run(world.wish(2, strategy, section=section))
    assert state.phase is Phase.DONE, state.reason
    assert world.unanswered == 0
    world.settled()


def test_harm_is_taken_back_by_whole_pods_too(api: FakeKubernetes, tmp_path: Path) -> None:
    world = ClusterWorld(tmp_path, api=api, gateway=False, errors={2: 0.2})
    section = SECTION.model_copy(update={"canary": CanarySection(steps=(CanaryStep(weight=50),), wait=MINUTE)})
    world.run(world.wish(1, section=section))
    state = world.run(world.wish(2, Strategy.CANARY, section=section))
    assert state.phase is Phase.ROLLED_BACK
    world.settled()


@pytest.mark.parametrize(
    ("script", "says"),
    [(IMAGE_MISSING, 'pulling image "seatrial:1"'), (UNSCHEDULABLE, "not scheduled: 0/1 nodes are available")],
    ids=["image missing", "unschedulable"],
)
def test_servers_that_do_not_come_up_end_the_rollout_with_their_reason(
    world: ClusterWorld, script: Any, says: str
) -> None:
    world.run(world.wish(1))
    world.api.script(f"model-{PRODUCT}-v2", script)
    state = world.run(world.wish(2))
    assert state.phase is Phase.ROLLED_BACK
    assert says in state.reason
    assert world.unanswered == 0
    world.settled()


def test_a_gateway_that_refuses_the_split_ends_the_rollout_and_the_champion_serves(world: ClusterWorld) -> None:
    world.run(world.wish(1))

    once(world.api, "PUT", "httproutes", lambda: world.api.remove("Service", f"model-{PRODUCT}-v2"))
    state = world.run(world.wish(2, Strategy.CANARY))
    assert state.phase is Phase.ROLLED_BACK
    assert f"service default/model-{PRODUCT}-v2 not found" in state.reason
    assert world.unanswered == 0
    world.settled()


@pytest.mark.parametrize("at", [0, 20, 150], ids=["launch", "canary", "bake"])
def test_a_server_that_is_away_for_most_of_a_minute_delays_a_rollout_and_does_not_end_it(
    world: ClusterWorld, at: int
) -> None:
    world.run(world.wish(1))
    world.starting = timedelta(seconds=5)
    began, traffic = world.clock.monotonic(), world.clock.passing
    away = False

    def passing(duration: timedelta) -> None:
        nonlocal away
        wanted = at <= world.clock.monotonic() - began < at + 45
        if wanted != away:
            world.api.go_away() if wanted else world.api.come_back()
            away = wanted
        traffic(duration)

    world.clock.passing = passing
    state = world.run(world.wish(2, Strategy.CANARY))
    assert state.phase is Phase.DONE, state.reason
    assert world.unanswered == 0
    world.settled()


def test_a_pod_that_is_killed_under_way_is_replaced_and_the_rollout_goes_on(world: ClusterWorld) -> None:
    world.run(world.wish(1))
    killed: list[str] = []

    def kill(state: RolloutState) -> None:
        if state.done > len(killed):
            pod = world.api.objects("Pod")[len(killed) % 2]["metadata"]["name"]
            world.api.remove("Pod", pod)
            killed.append(pod)

    state = world.run(world.wish(2, Strategy.CANARY), between=kill)
    assert state.phase is Phase.DONE, state.reason
    assert len(killed) >= 5
    world.settled()


def test_a_route_that_other_hands_change_under_way_is_put_right(world: ClusterWorld) -> None:
    world.run(world.wish(1))
    changes = 0

    def by_hand(state: RolloutState) -> None:
        nonlocal changes
        found = world.api.object("HTTPRoute", f"seatrial-{PRODUCT}")
        if found and state.candidate == 2 and len(found["spec"]["rules"][0]["backendRefs"]) == 2 and changes < 2:
            changes += 1
            for each, weight in zip(found["spec"]["rules"][0]["backendRefs"], (1, 9_999), strict=True):
                each["weight"] = weight
            world.api.put(found)

    state = world.run(world.wish(2, Strategy.CANARY), between=by_hand)
    assert changes == 2
    assert state.phase is Phase.DONE, state.reason
    world.settled()


class MortalConnection:
    """The way to the API server, whose user may die before and after each write."""

    def __init__(self, connection: Any, life: Life) -> None:
        self._connection, self._life = connection, life

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def send(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        if method == "GET":
            return self._connection.send(method, *arguments, **keywords)
        self._life.spend()
        answer = self._connection.send(method, *arguments, **keywords)
        self._life.spend()
        return answer


def at_a_door(world: ClusterWorld, wish: Wish, life: Life) -> RolloutState:
    return world.run(wish, mortal(world.doors, life))


def at_a_write(world: ClusterWorld, wish: Wish, life: Life) -> RolloutState:
    connection = world.cluster._connection
    world.cluster._connection = MortalConnection(connection, life)  # type: ignore[assignment]
    try:
        return world.run(wish)
    finally:
        world.cluster._connection = connection


KILLS = {"at a door": at_a_door, "at a write": at_a_write}
HOW_MANY = pytest.mark.parametrize(
    "some",
    [pytest.param(3, id="some"), pytest.param(ALL, id="all", marks=[pytest.mark.crash, pytest.mark.timeout(1800)])],
)


@HOW_MANY
@pytest.mark.parametrize("kill", KILLS)
@pytest.mark.parametrize("case", CASES)
def test_a_killed_rollout_is_carried_to_the_same_end(case: str, kill: str, some: int, tmp_path: Path) -> None:
    with a_world(tmp_path) as whole:
        wish, life = CASES[case](whole), Life(ALL)
        expected = KILLS[kill](whole, wish, life)
    stride = max(1, life.spent // some)
    for moment in range(0 if some is ALL else stride // 2, life.spent, stride):
        with a_world(tmp_path) as world:
            wish = CASES[case](world)
            with pytest.raises(Killed):
                KILLS[kill](world, wish, Life(moment))
            _is_carried_on(world, whole, wish, expected, moment)


def _is_carried_on(world: ClusterWorld, whole: ClusterWorld, wish: Wish, expected: RolloutState, moment: int) -> None:
    where = f"killed at moment {moment}"
    if wish.rollout_id not in {state.rollout_id for state in world.journal.rollouts(PRODUCT)}:
        assert moment < BEFORE_THE_PLAN, "the plan is written before anything moves"
        return
    state = world.journal.rollout(PRODUCT, wish.rollout_id)
    if state.live:
        state = world.resume(wish.rollout_id)
    assert (state.phase, state.done) == (expected.phase, expected.done), f"{where}: {state.reason}"
    assert statuses(world) == statuses(whole), where
    assert world.unanswered == whole.unanswered, where
    if state.phase is Phase.DONE:
        assert state.updated_at - state.started_at >= waits(state.steps), f"{where}: a step was shortened"
    world.settled()
