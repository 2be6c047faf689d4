"""Before all traffic rests on a candidate, and before the champion goes, all its servers are there as launched."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Promote, Retire, Shift
from deployments.spec import Strategy
from deployments.targets.kubernetes import KubernetesTarget
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import IMAGE_MISSING, READY, UNSCHEDULABLE, FakeKubernetes
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT

CANDIDATE = f"model-{PRODUCT}-v2"
Harm = Callable[[FakeKubernetes], None]


@pytest.fixture
def world(api: FakeKubernetes, tmp_path: Path) -> ClusterWorld:
    """v1 serves."""
    made = ClusterWorld(tmp_path, api=api)
    made.run(made.wish(1))
    return made


def before_all_traffic(state: RolloutState) -> bool:
    return isinstance(state.step, Shift) and state.step.weights.of(2) == 100


def before_promotion(state: RolloutState) -> bool:
    return isinstance(state.step, Promote)


MOMENTS = pytest.mark.parametrize("moment", [before_all_traffic, before_promotion])


class Once:
    """`happens` at the first moment of that kind; `served` is who served whom from then until the end."""

    def __init__(self, world: ClusterWorld, moment: Callable[[RolloutState], bool], happens: Harm) -> None:
        self._world, self._moment, self._happens = world, moment, happens
        self.at: float | None = None

    def __call__(self, state: RolloutState) -> None:
        if self.at is None and state.candidate == 2 and self._moment(state):
            self.at = self._world.clock.monotonic()
            self._happens(self._world.api)


def pods(api: FakeKubernetes) -> list[str]:
    return [each["metadata"]["name"] for each in api.objects("Pod") if each["metadata"]["name"].startswith(CANDIDATE)]


def evict_one(api: FakeKubernetes) -> None:
    """Its node is cordoned, and there is no other: its successor finds no place."""
    first, second = pods(api)
    api.script(second, READY)
    api.script(CANDIDATE, UNSCHEDULABLE)
    api.remove("Pod", first)


def edited(api: FakeKubernetes, change: Callable[[dict[str, Any]], None], script: Any = READY) -> None:
    """Somebody edits the Deployment: pods that are there stay well, new ones fare by the script."""
    for name in pods(api):
        api.script(name, READY)
    api.script(CANDIDATE, script)
    found = api.object("Deployment", CANDIDATE)
    assert found is not None
    change(found["spec"]["template"])
    api.put(found)


def edit_image(api: FakeKubernetes) -> None:
    edited(api, lambda template: template["spec"]["containers"][0].update(image="nowhere:2"), IMAGE_MISSING)


def edit_image_well(api: FakeKubernetes) -> None:
    edited(api, lambda template: template["spec"]["containers"][0].update(image="another:2"))


def edit_environment(api: FakeKubernetes) -> None:
    edited(api, lambda template: template["spec"]["containers"][0]["env"][0].update(value="64"))


def restart(api: FakeKubernetes, script: Any) -> None:
    """As `kubectl rollout restart` does it."""
    edited(
        api,
        lambda template: template["metadata"].update(annotations={"kubectl.kubernetes.io/restartedAt": "now"}),
        script,
    )


HARM: dict[str, tuple[Harm, str]] = {
    "one evicted": (evict_one, "1 of 2 servers are ready"),
    "image edited": (edit_image, f"somebody changed image of container server of Deployment {CANDIDATE}"),
    "another image": (edit_image_well, "somebody changed image of container server"),
    "environment edited": (edit_environment, "somebody changed env of container server"),
    "restarted, and hanging": (lambda api: restart(api, UNSCHEDULABLE), "is replacing its pods: 1 of 2 are new"),
}


@MOMENTS
@pytest.mark.parametrize("harm", HARM)
def test_a_candidate_that_is_not_whole_is_rolled_back_while_the_champion_serves(
    world: ClusterWorld, moment: Callable[[RolloutState], bool], harm: str
) -> None:
    happens, says = HARM[harm]
    state = world.run(world.wish(2, Strategy.CANARY), between=Once(world, moment, happens))
    assert state.phase is Phase.ROLLED_BACK
    assert says in state.reason
    assert world.unanswered == 0
    world.settled()


@MOMENTS
@pytest.mark.parametrize("harm", ["one evicted", "restarted"])
def test_what_comes_right_in_time_is_waited_for(
    world: ClusterWorld, moment: Callable[[RolloutState], bool], harm: str
) -> None:
    happens = evict_one if harm == "one evicted" else lambda api: restart(api, UNSCHEDULABLE)
    once = Once(world, moment, happens)
    traffic = world.clock.passing

    def passing(duration: timedelta) -> None:
        if once.at is not None and world.clock.monotonic() >= once.at + 40:
            once.at = float("inf")
            world.api.script(CANDIDATE, READY)
        traffic(duration)

    world.clock.passing = passing
    state = world.run(world.wish(2, Strategy.CANARY), between=once)
    assert state.phase is Phase.DONE, state.reason
    assert once.at == float("inf")
    assert world.unanswered == 0
    world.settled()


def test_the_champion_stays_while_its_successor_is_not_whole(world: ClusterWorld) -> None:
    once = Once(world, lambda state: isinstance(state.step, Retire), evict_one)
    state = world.run(world.wish(2, Strategy.CANARY), between=once)
    assert state.phase is Phase.DONE
    assert "v1 is not retired yet (v2 is not fit for all traffic after 1m: 1 of 2 servers are ready" in state.reason
    assert world.target.versions(PRODUCT) == (1, 2)


def test_pods_that_an_autoscaler_wants_beside_are_not_waited_for(world: ClusterWorld) -> None:
    def scale(api: FakeKubernetes) -> None:
        for name in pods(api):
            api.script(name, READY)
        api.script(CANDIDATE, UNSCHEDULABLE)
        api.autoscale(CANDIDATE, 3)

    state = world.run(world.wish(2, Strategy.CANARY), between=Once(world, before_promotion, scale))
    # Pods of a Deployment that nobody scales by load are made as many as were launched.
    assert state.phase is Phase.DONE, state.reason


@MOMENTS
def test_a_deployment_that_somebody_removed_is_put_there_again(
    world: ClusterWorld, moment: Callable[[RolloutState], bool]
) -> None:
    once = Once(world, moment, lambda api: api.remove("Deployment", CANDIDATE))
    state = world.run(world.wish(2, Strategy.CANARY), between=once)
    assert state.phase is Phase.DONE, state.reason
    assert world.api.object("Deployment", CANDIDATE) is not None
    world.settled()


def test_a_candidate_whose_deployment_somebody_removes_is_rolled_back_at_once_and_it_is_named(
    world: ClusterWorld,
) -> None:
    once = Once(
        world,
        lambda state: isinstance(state.step, Observe) and state.observed > timedelta(0),
        lambda api: api.remove("Deployment", CANDIDATE),
    )
    state = world.run(world.wish(2, Strategy.CANARY), between=once)
    assert state.phase is Phase.ROLLED_BACK
    assert f"Deployment {CANDIDATE} in namespace default is gone: somebody removed it" in state.reason
    assert once.at is not None
    assert world.clock.monotonic() - once.at < MINUTE.total_seconds() / 2
    world.settled()


def test_a_champion_whose_deployment_somebody_removes_gets_it_again(world: ClusterWorld) -> None:
    champion = f"model-{PRODUCT}-v1"
    once = Once(
        world,
        lambda state: isinstance(state.step, Observe) and state.observed > timedelta(0),
        lambda api: (api.remove("Deployment", champion), world.cut.update({1: 1.0}))[0],
    )
    seen: list[RolloutState] = []

    def between(state: RolloutState) -> None:
        once(state)
        seen.append(state)
        if world.api.object("Deployment", champion) is not None:
            world.cut.pop(1, None)

    state = world.run(world.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.DONE, state.reason
    assert any(f"Deployment {champion} in namespace default is gone" in each.reason for each in seen)
    world.settled()


def test_what_others_add_to_a_deployment_is_no_change_of_what_was_verified(world: ClusterWorld) -> None:
    target = world.target
    assert isinstance(target, KubernetesTarget)
    champion = f"model-{PRODUCT}-v1"
    found = world.api.object("Deployment", champion)
    assert found is not None
    found["spec"]["template"]["spec"]["containers"].append({"name": "sidecar", "image": "mesh:1"})
    found["metadata"].setdefault("annotations", {})["team"] = "ships"
    world.api.put(found)
    assert target.unsettled(PRODUCT, 1) == ""
