"""Users who are sent to a candidate and get no answer of it, which no server counts."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe, Until
from deployments.spec import CanarySection, CanaryStep, Strategy
from deployments.targets.protocol import ReplicaState
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import NEVER_READY, READY, FakeKubernetes
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION

CANDIDATE = f"model-{PRODUCT}-v2"


@pytest.fixture
def world(api: FakeKubernetes, tmp_path: Path) -> ClusterWorld:
    """v1 serves."""
    made = ClusterWorld(tmp_path, api=api)
    made.run(made.wish(1))
    return made


class Outage:
    """From `after` on, once the candidate has its first share, and for as long as `lasts`."""

    def __init__(
        self, world: ClusterWorld, begin: Callable[[], None], end: Callable[[], None], after: float, lasts: float
    ) -> None:
        self._world, self._begin, self._end, self._after, self._lasts = world, begin, end, after, lasts
        self._traffic, self._began_at, self._stage = world.clock.passing, 0.0, 0
        self.states: list[RolloutState] = []

    def __call__(self, state: RolloutState) -> None:
        self.states.append(state)
        if not self._began_at and state.split is not None and isinstance(state.step, Observe):
            self._began_at = self._world.clock.monotonic() + self._after
            self._world.clock.passing = self._passing

    def _passing(self, duration: timedelta) -> None:
        passed = self._world.clock.monotonic() - self._began_at
        if self._stage == 0 and passed >= 0:
            self._begin()
            self._stage = 1
        if self._stage == 1 and passed >= self._lasts:
            self._end()
            self._stage = 2
        self._traffic(duration)


def cut(world: ClusterWorld, share: float, after: float = 0.0, lasts: float = 10_000.0) -> Outage:
    """The Gateway does not reach so many of the candidate's pods, which are well."""
    return Outage(world, lambda: world.cut.update({2: share}), world.cut.clear, after, lasts)


def pods_away(world: ClusterWorld, after: float, lasts: float) -> Outage:
    def begin() -> None:
        world.api.script(CANDIDATE, NEVER_READY)
        world.cut[2] = 1.0

    def end() -> None:
        world.api.script(CANDIDATE, READY)
        world.cut.clear()

    return Outage(world, begin, end, after, lasts)


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0], ids=["one of five", "one of two", "all"])
@pytest.mark.parametrize("after", [0.0, 45.0], ids=["at once", "later"])
def test_a_candidate_that_the_gateway_does_not_reach_is_rolled_back(
    world: ClusterWorld, share: float, after: float
) -> None:
    world.rate = 400.0
    section = SECTION.model_copy(update={"canary": CanarySection(steps=(CanaryStep(weight=50),), wait=10 * MINUTE)})
    outage = cut(world, share, after)
    state = world.run(world.wish(2, Strategy.CANARY, section=section), between=outage)
    assert state.phase is Phase.ROLLED_BACK
    assert "users sent to v2 get no answer" in state.reason
    began = next(each for each in outage.states if isinstance(each.step, Observe)).entered_at
    assert state.updated_at - began <= timedelta(seconds=after) + 2 * MINUTE
    world.settled()


@pytest.mark.parametrize("weight", [1.0, 10.0, 50.0])
def test_a_candidate_that_hangs_and_is_ready_is_rolled_back_within_minutes(world: ClusterWorld, weight: float) -> None:
    section = SECTION.model_copy(update={"canary": CanarySection(steps=(CanaryStep(weight=weight),), wait=MINUTE)})
    began = world.clock.now()
    state = world.run(world.wish(2, Strategy.CANARY, section=section), between=cut(world, 1.0))
    assert state.phase is Phase.ROLLED_BACK
    assert "users sent to v2 get no answer" in state.reason
    assert world.clock.now() - began <= 3 * MINUTE
    world.settled()


def test_a_pod_that_is_gone_while_endpoints_are_stale_is_no_evidence_for_its_version(world: ClusterWorld) -> None:
    pods: list[str] = []

    def kill() -> None:
        pods.extend(each["metadata"]["name"] for each in world.api.objects("Pod") if "-v2-" in each["metadata"]["name"])
        world.api.lose_controller_manager()
        world.api.remove("Pod", pods[0])
        assert len(world.target.replicas(PRODUCT, 2)) == 2
        assert sum(each.state is ReplicaState.READY for each in world.target.replicas(PRODUCT, 2)) == 1
        world.cut[2] = 0.5

    outage = Outage(world, kill, world.cut.clear, 5.0, 10_000.0)
    section = SECTION.model_copy(update={"canary": CanarySection(steps=(CanaryStep(weight=50),), wait=5 * MINUTE)})

    def between(state: RolloutState) -> None:
        outage(state)
        if state.phase is Phase.RESTORING:
            world.api.find_controller_manager()

    state = world.run(world.wish(2, Strategy.CANARY, section=section), between=between)
    assert state.phase is Phase.ROLLED_BACK, state.reason
    assert pods
    assert "users sent to v2 get no answer" in state.reason
    world.settled()


@pytest.mark.parametrize("after", [3.0, 20.0, 47.0])
@pytest.mark.parametrize("seconds", [12, 32])
def test_time_in_which_no_server_was_ready_is_no_healthy_time(world: ClusterWorld, after: float, seconds: int) -> None:
    section = SECTION.model_copy(update={"canary": CanarySection(steps=(CanaryStep(weight=50),), wait=2 * MINUTE)})
    outage = pods_away(world, after, seconds)
    state = world.run(world.wish(2, Strategy.CANARY, section=section), between=outage)
    assert state.phase is Phase.DONE, state.reason
    watched = [each for each in outage.states if isinstance(each.step, Observe) and each.step.until is Until.PROOF]
    for before, now in pairwise(watched):
        if "no server" in now.reason or "answered nothing" in now.reason or "no answer" in now.reason:
            assert now.phase is Phase.HOLDING
            assert now.observed == before.observed
    held = [each for each in watched if each.phase is Phase.HOLDING]
    assert held
    assert watched[-1].updated_at - watched[0].entered_at >= 2 * MINUTE + timedelta(seconds=seconds - 10)
    world.settled()


@pytest.mark.parametrize("rate", [2.0, 30.0])
@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_little_traffic_keeps_no_healthy_candidate_back(world: ClusterWorld, weight: float, rate: float) -> None:
    world.rate = rate
    canary = CanarySection(steps=(CanaryStep(weight=weight), CanaryStep(weight=50)), wait=5 * MINUTE)
    analysis = SECTION.analysis.model_copy(update={"deadline": timedelta(hours=24)})
    section = SECTION.model_copy(update={"canary": canary, "analysis": analysis})
    state = world.run(world.wish(2, Strategy.CANARY, section=section))
    assert state.phase is Phase.DONE, state.reason
    world.settled()


def test_a_champion_that_is_asked_by_others_too_needs_a_larger_tolerance(api: FakeKubernetes, tmp_path: Path) -> None:
    ends = {}
    for shortfall in (0.1, 2.0):
        with FakeKubernetes() as fresh:
            folder = tmp_path / str(shortfall)
            folder.mkdir()
            world = ClusterWorld(folder, api=fresh, shortfall=shortfall)
            world.run(world.wish(1))
            world.past_the_gateway[1] = 0.6
            ends[shortfall] = world.run(world.wish(2, Strategy.CANARY)).phase
    assert ends == {0.1: Phase.ROLLED_BACK, 2.0: Phase.DONE}
