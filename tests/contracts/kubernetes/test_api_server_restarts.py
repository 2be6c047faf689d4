"""An API server that has just started refuses everybody until it has read its roles: nobody is rolled back for it."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.cluster import ApiForbidden, ApiUnreachable, Cluster
from deployments.cluster.api_client import Connection
from deployments.cluster.resource_kinds import CONFIG_MAP, POD
from deployments.cluster.startup_forbidden import Rights
from deployments.errors import ClusterRefused
from deployments.process_identity import this_process
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe
from deployments.spec import Strategy
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.tasks.rollout_engine.world import PRODUCT


@pytest.fixture
def world(api: FakeKubernetes, tmp_path: Path) -> ClusterWorld:
    """v1 serves."""
    made = ClusterWorld(tmp_path, api=api)
    made.run(made.wish(1))
    return made


@pytest.fixture
def patient(api: FakeKubernetes, clock: ManualClock, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose rights go by the clock of the test."""
    made = Connection.of(kubeconfig=api.kubeconfig(tmp_path / "other"))
    yield Cluster(made, rights=Rights(clock))


def restarts(world: ClusterWorld, at: float, seconds: float) -> None:
    """From now on: everybody is refused for so long."""
    began, traffic = world.clock.monotonic(), world.clock.passing

    def passing(duration: timedelta) -> None:
        world.api.faults.starting = at <= world.clock.monotonic() - began < at + seconds
        traffic(duration)

    world.clock.passing = passing


@pytest.mark.parametrize("seconds", [3, 45])
@pytest.mark.parametrize("at", [0, 15, 20, 60, 150], ids=["launch", "shift", "first look", "canary", "bake"])
def test_an_api_server_that_restarts_delays_a_rollout_and_does_not_end_it(
    world: ClusterWorld, at: int, seconds: int
) -> None:
    world.starting = timedelta(seconds=14)
    restarts(world, at, seconds)
    state = world.run(world.wish(2, Strategy.CANARY))
    assert state.phase is Phase.DONE, state.reason
    assert world.unanswered == 0
    world.settled()


@pytest.mark.parametrize("says_so", [True, False], ids=["the server says it starts", "it says nothing"])
def test_a_carrier_that_begins_just_then_carries_the_rollout_on(
    world: ClusterWorld, says_so: bool, tmp_path: Path
) -> None:
    class Stop(Exception):
        pass

    def dies(state: RolloutState) -> None:
        if isinstance(state.step, Observe):
            raise Stop

    with pytest.raises(Stop):
        world._or_put_back = lambda rollout_id, doors, carry: carry()  # type: ignore[method-assign]
        world.run(world.wish(2, Strategy.CANARY), between=dies)
    world.journal.release(world.journal.acquire(PRODUCT, this_process(), world.clock.now(), timedelta(0)))
    (tmp_path / "next").mkdir()
    doors = world.doors_of_a_new_process(tmp_path / "next")
    began = world.clock.monotonic()
    traffic = world.clock.passing

    def passing(duration: timedelta) -> None:
        over = world.clock.monotonic() - began >= 30
        if says_so:
            world.api.faults.starting = not over
        elif over:
            world.api.faults.heal()
        traffic(duration)

    if says_so:
        world.api.faults.starting = True
    else:
        world.api.faults.forbid("*", "*")
    world.clock.passing = passing
    state = world.resume("rollout-2", doors)
    assert state.phase is Phase.DONE, state.reason
    world.settled()


def test_a_right_that_is_taken_away_for_good_ends_in_a_refusal_that_names_it(
    api: FakeKubernetes, patient: Cluster, clock: ManualClock
) -> None:
    patient.list(POD)
    api.faults.forbid("list", "pods")
    with pytest.raises(ApiUnreachable, match=r'cannot list resource "pods".*asked for again'):
        patient.list(POD)
    clock.advance(timedelta(seconds=60))
    with pytest.raises(ApiForbidden, match='cannot list resource "pods"'):
        patient.list(POD)
    api.faults.heal()
    assert patient.list(POD)[0] == []


def test_a_right_that_never_was_there_is_refused_at_once_and_others_are_none_of_it(
    api: FakeKubernetes, patient: Cluster
) -> None:
    patient.get(CONFIG_MAP, "c")
    api.faults.forbid("create", "configmaps")
    with pytest.raises(ApiForbidden, match='cannot create resource "configmaps"'):
        patient.create(CONFIG_MAP, {"metadata": {"name": "c"}})


def test_a_quota_is_no_matter_of_rights_and_is_told_at_once(api: FakeKubernetes, patient: Cluster) -> None:
    patient.create(CONFIG_MAP, {"metadata": {"name": "c"}})
    api.faults.limit("configmaps", 1)
    with pytest.raises(ApiForbidden, match="exceeded quota"):
        patient.create(CONFIG_MAP, {"metadata": {"name": "d"}})


@pytest.mark.parametrize("code", [401, 429, 500, 503, 504])
def test_what_a_starting_server_answers_otherwise_is_no_refusal_either(
    api: FakeKubernetes, patient: Cluster, code: int
) -> None:
    patient.get(CONFIG_MAP, "c")
    api.faults.fail_next(20, code, retry_after=0)
    with pytest.raises(ApiUnreachable):
        patient.get(CONFIG_MAP, "c")


def test_a_rollout_that_may_not_begin_says_so_without_asking_for_a_minute(world: ClusterWorld, tmp_path: Path) -> None:
    (tmp_path / "next").mkdir()
    doors = world.doors_of_a_new_process(tmp_path / "next")
    world.api.faults.forbid("list", "deployments")
    began = world.clock.monotonic()
    with pytest.raises(ClusterRefused, match='cannot list resource "deployments"'):
        world.run(world.wish(2, Strategy.CANARY), doors)
    assert world.clock.monotonic() - began < 1
