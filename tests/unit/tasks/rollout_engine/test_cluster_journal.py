"""A rollout writes the same into a cluster as into memory, and another runner carries it on from there."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.cluster import Cluster
from deployments.journals.kubernetes import ClusterJournal
from deployments.journals.protocol import Journal
from deployments.rollout.state import Phase
from deployments.spec import Strategy
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with FakeKubernetes(controllers=False) as api:
        cluster = Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))
        yield cluster
        cluster.close()


@pytest.mark.parametrize("harmful", [False, True], ids=["healthy", "harmful"])
@pytest.mark.parametrize("strategy", list(Strategy))
def test_every_strategy_leaves_the_same_journal_in_a_cluster_as_in_memory(
    cluster: Cluster, tmp_path: Path, strategy: Strategy, harmful: bool
) -> None:
    def run(world: World, journal: Journal) -> None:
        world.errors = {2: 0.5} if harmful else {}
        doors = replace(world.doors, journal=journal)
        world.run(world.wish(1), doors)
        world.run(world.wish(2, strategy), doors)

    plain, clustered, journal = World(tmp_path), World(tmp_path), ClusterJournal(cluster)
    run(plain, plain.journal)
    run(clustered, journal)
    assert journal.rollouts(PRODUCT) == plain.journal.rollouts(PRODUCT)
    assert journal.evidence("rollout-2") == plain.journal.evidence("rollout-2")
    told = [(event.at, event.run, event.kind) for event in plain.journal.events(PRODUCT)]
    assert [(event.at, event.run, event.kind) for event in journal.events(PRODUCT)] == told
    assert journal.holder(PRODUCT, clustered.clock.now()) is None


def test_a_runner_that_never_saw_the_rollout_carries_it_on(cluster: Cluster, tmp_path: Path) -> None:
    world = World(tmp_path)
    first = replace(world.doors, journal=ClusterJournal(cluster))
    world.run(world.wish(1), first)

    class DiedError(BaseException):
        pass

    def die(state: object) -> None:
        if first.journal.evidence("rollout-2"):
            raise DiedError

    with pytest.raises(DiedError):
        world.run(world.wish(2, Strategy.CANARY), first, between=die)
    second = replace(world.doors, journal=ClusterJournal(cluster))
    before = second.journal.evidence("rollout-2")
    assert world.resume("rollout-2", second).phase is Phase.DONE
    assert before
    assert second.journal.evidence("rollout-2")[: len(before)] == before
