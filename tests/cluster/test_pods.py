"""Model servers as pods of a real cluster: they come, answer, change in number, fail with a reason, and go."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.caller_authentication import Proofs
from deployments.clock import SystemClock
from deployments.cluster import Cluster, object_name
from deployments.cluster.resource_kinds import DEPLOYMENT, DISRUPTION_BUDGET, ENDPOINT_SLICE, POD, SERVICE
from deployments.errors import ClusterRefused, TargetUnreachable
from deployments.spec import KubernetesSection, ResourcesSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, Replica, ReplicaState
from tests.cluster.conftest import IMAGE, wait_until
from tests.cluster.fleet import Fleet

DRAIN = timedelta(seconds=10)
SECTION = KubernetesSection(image=IMAGE, resources=ResourcesSection(cpu="50m", memory="700Mi"))


class Place:
    """A product's pods."""

    def __init__(self, cluster: Cluster, fleet: Fleet, product: str) -> None:
        self.cluster, self.fleet, self.settings, self.product = cluster, fleet, fleet.settings, product

    def target(self, **changes: Any) -> KubernetesTarget:
        section = SECTION.model_copy(update=changes)
        proofs = Proofs(self.settings.keys_folder)
        return KubernetesTarget(self.cluster, section, self.settings.tracking_uri, SystemClock(), proofs=proofs)

    def launch(self, version: int, replicas: int = 1, **changes: Any) -> None:
        self.target(**changes).launch(self.fleet.launch(self.product, version, replicas))

    def settled(self, version: int, seconds: float = 120) -> tuple[Replica, ...]:
        """The replicas once none of them is starting or stopping any more."""
        limit, target = time.monotonic() + seconds, self.target()
        busy = {ReplicaState.STARTING, ReplicaState.STOPPING}
        while True:
            seen = target.replicas(self.product, version)
            if not any(each.state in busy for each in seen):
                return seen
            assert time.monotonic() < limit, seen
            target.wait(self.product, version, timedelta(seconds=5), SystemClock())


@pytest.fixture
def place(cluster: Cluster, fleet: Fleet, request: pytest.FixtureRequest) -> Iterator[Place]:
    made = Place(cluster, fleet, f"pods-{abs(hash(request.node.name)) % 10_000}")
    yield made
    for version in made.target().versions(made.product):
        made.target().retire(made.product, version, DRAIN)


def test_pods_become_ready_answer_as_training_did_change_in_number_and_go(
    place: Place, fleet: Fleet, record_property: Callable[[str, object], None]
) -> None:
    version = fleet.add(place.product)
    began = time.monotonic()
    place.launch(version, replicas=2)
    replicas = place.settled(version)
    record_property("seconds until ready", round(time.monotonic() - began, 1))
    assert [each.state for each in replicas] == [ReplicaState.READY] * 2
    stored = json.loads(
        (fleet.registry.fetch(place.product, version, place.settings.models) / "verification.json").read_bytes()
    )
    for replica in replicas:
        answer = place.target().ask(replica, "/invocations", json.dumps(stored["request"]).encode())
        assert (answer.status, json.loads(answer.body)["predictions"]) == (200, stored["predictions"])
    place.launch(version, replicas=1)
    wait_until(lambda: len(place.target().replicas(place.product, version)) == 1)
    [kept] = place.settled(version)
    assert kept.name in {each.name for each in replicas}
    place.target().retire(place.product, version, DRAIN)
    assert place.target().replicas(place.product, version) == ()
    assert place.target().versions(place.product) == ()
    name = object_name(place.product, version)
    assert [place.cluster.get(kind, name) for kind in (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET)] == [None] * 3
    with pytest.raises(TargetUnreachable, match=kept.name):
        place.target().ask(kept, "/invocations", b"{}")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"image": "localhost/no-such-image:1", "pull_policy": "Never"}, "no-such-image"),
        ({"secrets": ("no-such-secret",)}, "no-such-secret"),
        ({"model": "image"}, "manifest.json"),
    ],
)
def test_a_pod_that_cannot_come_up_fails_with_its_reason(
    place: Place, fleet: Fleet, changes: dict[str, Any], says: str
) -> None:
    version = fleet.add(place.product)
    place.launch(version, **changes)
    [replica] = place.settled(version)
    assert replica.state is ReplicaState.FAILED
    assert says in replica.detail
    place.launch(version)
    assert [each.state for each in place.settled(version)] == [ReplicaState.READY]


def test_a_pod_that_no_node_takes_waits_and_says_for_what(place: Place, fleet: Fleet) -> None:
    version = fleet.add(place.product)
    place.launch(version, node_selector={"no-such": "node"})
    limit = time.monotonic() + 30
    while not (seen := place.target().replicas(place.product, version))[0].detail:
        assert time.monotonic() < limit
        time.sleep(0.2)
    assert (seen[0].state, "not scheduled" in seen[0].detail) == (ReplicaState.STARTING, True)


def test_a_deployment_of_somebody_else_is_refused_and_stays(place: Place) -> None:
    name, labels = object_name(place.product, 7), {"app": "theirs"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "x", "image": "theirs"}]}}
    theirs = {
        "metadata": {"name": name},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    }
    there = place.cluster.create(DEPLOYMENT, theirs)
    try:
        with pytest.raises(ClusterRefused, match=f"Deployment {name}"):
            place.target().launch(Launch(place.product, 7, Path(), 1))
        assert place.cluster.get(DEPLOYMENT, name) is not None
        place.target().retire(place.product, 7, DRAIN)
        found = place.cluster.get(DEPLOYMENT, name)
        assert found is not None
        assert found["metadata"]["uid"] == there["metadata"]["uid"]
    finally:
        place.cluster.delete(DEPLOYMENT, name)


def test_a_killed_pod_comes_back_and_leads_no_traffic_meanwhile(place: Place, fleet: Fleet) -> None:
    version = fleet.add(place.product)
    place.launch(version, replicas=2)
    first, second = place.settled(version)
    place.cluster.delete(POD, first.name)
    assert {each.state for each in place.settled(version)} == {ReplicaState.READY}
    names = {each.name for each in place.target().replicas(place.product, version)}
    assert second.name in names
    assert first.name not in names
    slices, _ = place.cluster.list(ENDPOINT_SLICE, f"kubernetes.io/service-name={object_name(place.product, version)}")
    ready = {
        endpoint["targetRef"]["name"]
        for each in slices
        for endpoint in each["endpoints"] or []
        if endpoint["conditions"]["ready"]
    }
    assert ready == names
