"""What is left of a version in a cluster, whatever went first, is cleared up before the next release."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.cluster import Cluster
from deployments.rollout.state import Phase
from deployments.spec import AutoscalingSection, KubernetesSection, Strategy
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.tasks.rollout_engine.world import PRODUCT

KINDS = ("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler")


@pytest.mark.parametrize("left", KINDS)
def test_a_version_of_which_anything_is_left_is_known_and_can_be_retired(
    api: FakeKubernetes, cluster: Cluster, clock: ManualClock, left: str
) -> None:
    section = KubernetesSection(image="seatrial:1", autoscaling=AutoscalingSection(most=4))
    target = KubernetesTarget(cluster, section, "http://mlflow", clock)
    target.launch(Launch("flights", 3, Path(), 2))
    for kind in KINDS:
        if kind != left:
            api.remove(kind, "model-flights-v3")
    assert target.versions("flights") == (3,)
    assert target.versions("flight") == ()
    target.retire("flights", 3, timedelta(0))
    assert target.versions("flights") == ()
    assert [each for kind in KINDS for each in api.objects(kind)] == []


def test_what_a_removed_candidate_left_goes_with_the_next_release(api: FakeKubernetes, tmp_path: Path) -> None:
    world = ClusterWorld(tmp_path, api=api)
    world.run(world.wish(1))
    world.run(world.wish(2))
    for kind in ("Service", "PodDisruptionBudget"):
        api.put({"kind": kind, "metadata": {"name": f"model-{PRODUCT}-v1", "labels": _labels(1)}, "spec": {}})
    assert world.run(world.wish(3, Strategy.CANARY)).phase is Phase.DONE
    assert {each["metadata"]["name"] for each in api.objects("PodDisruptionBudget")} == {f"model-{PRODUCT}-v3"}
    world.settled()


def _labels(version: int) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "seatrial",
        "seatrial.dev/product": PRODUCT,
        "seatrial.dev/version": str(version),
    }
