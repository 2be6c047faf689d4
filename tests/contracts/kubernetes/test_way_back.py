"""Harm is taken back in a cluster, whatever has become of the servers that did it, and of the champion's."""

from pathlib import Path

import pytest

from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Strategy
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.tasks.rollout_engine.world import PRODUCT


@pytest.fixture
def harmful(api: FakeKubernetes, tmp_path: Path) -> ClusterWorld:
    """v1 serves, and v2 will do harm."""
    world = ClusterWorld(tmp_path, api=api, errors={2: 0.2})
    world.run(world.wish(1))
    return world


def under_traffic(state: RolloutState) -> bool:
    return state.candidate == 2 and state.split is not None and 0 < state.split.weights.of(2) < 100


def test_a_node_that_is_gone_keeps_no_champion_from_coming_back(api: FakeKubernetes, harmful: ClusterWorld) -> None:
    def lose(state: RolloutState) -> None:
        if state.phase is Phase.RESTORING:
            api.lose_node("node-1")
            # Nothing comes: only the clock of the test goes on.
            api.faults.watch_ends_after = 0

    state = harmful.run(harmful.wish(2, Strategy.CANARY), between=lose)
    assert state.phase is Phase.ROLLED_BACK
    assert harmful.served_by == {1: 100}
    [told] = [each for each in harmful.journal.events(PRODUCT) if each.kind == "rollout.rolled_back"]
    assert "v2 is not retired yet" in str(told.detail["seen"])
    api.find_node("node-1")
    harmful.errors.clear()
    assert harmful.run(harmful.wish(3)).phase is Phase.DONE
    harmful.settled()


@pytest.mark.parametrize("version", [1, 2], ids=["champion's", "candidate's"])
def test_a_service_that_is_gone_keeps_no_champion_from_coming_back(
    api: FakeKubernetes, harmful: ClusterWorld, version: int
) -> None:
    def remove(state: RolloutState) -> None:
        if under_traffic(state):
            api.remove("Service", f"model-{PRODUCT}-v{version}")

    state = harmful.run(harmful.wish(2, Strategy.CANARY), between=remove)
    assert state.phase is Phase.ROLLED_BACK
    harmful.settled()
