"""Pods by load: an autoscaler sets their number, traffic keeps its shares, and nobody else touches the number."""

from collections.abc import Callable, Iterator

import pytest

from deployments.cluster import Cluster, object_name
from deployments.cluster.resource_kinds import AUTOSCALER, DEPLOYMENT
from deployments.rollout.state import Phase
from deployments.spec import AutoscalingSection, CanarySection, CanaryStep, Strategy
from tests.cluster.conftest import wait_until
from tests.cluster.traffic import users
from tests.cluster.trials import RATE, SECOND, Trial

# Any load at all is more than a two-hundredth of a core.
_SCALING = AutoscalingSection(most=3, cpu_percent=10)


@pytest.fixture
def scaled(serving: Trial, runner: Cluster) -> Iterator[Trial]:
    yield serving.by_way_of(runner, autoscaling=_SCALING)
    # Whoever comes next gets as many pods as before.
    serving.doors.target.launch(serving.fleet.launch(serving.product, serving.champion, 2))
    wait_until(lambda: len(serving.doors.target.replicas(serving.product, serving.champion)) == 2, 180)


def test_an_autoscaler_sets_the_number_of_pods_and_the_shares_stay(
    scaled: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    former, candidate = scaled.champion, scaled.fleet.add(scaled.product)
    canary = CanarySection(steps=(CanaryStep(weight=20),), wait=45 * SECOND)
    with users(scaled.url, RATE) as answered:
        state = scaled.roll_out(candidate, Strategy.CANARY, canary=canary)
    assert state.phase is Phase.DONE, state.reason
    failed = {who: count for who, count in answered.codes.items() if who[1] != 200}
    assert failed == {}
    record_property("answered", dict(answered.codes))
    scaler = cluster.get(AUTOSCALER, object_name(scaled.product, candidate))
    assert scaler is not None
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 3)
    wait_until(lambda: _wanted(cluster, scaled.product, candidate) > 2, 120)
    record_property("pods", _wanted(cluster, scaled.product, candidate))
    scaled.doors.target.launch(scaled.fleet.launch(scaled.product, candidate, 2))
    assert _wanted(cluster, scaled.product, candidate) > 2
    assert cluster.get(AUTOSCALER, object_name(scaled.product, former)) is None


def _wanted(cluster: Cluster, product: str, version: int) -> int:
    found = cluster.get(DEPLOYMENT, object_name(product, version))
    assert found is not None
    number: int = found["spec"]["replicas"]
    return number
