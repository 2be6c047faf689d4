"""The chart's Role for runs allows everything that the doors of a cluster do, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.errors import ClusterRefused
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.protocol import Router
from deployments.routers.service import ServiceRouter
from deployments.spec import AutoscalingSection, GatewaySection, KubernetesSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, ReplicaState
from deployments.traffic import Backend, Routing, Weights
from tests.fakes.kubernetes import READY, FakeKubernetes, Fate, Faults, PodScript, Proxied
from tests.unit.infra.helm import LEAST, kinds

PRODUCT = "flights"
Right = tuple[str, str, str]
# What the journal in the cluster and the counters of pods need; they have suites of their own.
OF_OTHERS = {
    *(("", "configmaps", verb) for verb in ("get", "list", "create", "update", "delete")),
    *(("coordination.k8s.io", "leases", verb) for verb in ("get", "create", "update")),
    ("", "pods/proxy", "get"),
}


@dataclass
class Counted:
    """Nothing: nobody asks the servers here."""

    seen: dict[Any, Any] = field(default_factory=dict)

    def in_flight(self, product: str, version: int) -> int:
        del product, version
        return 0

    def tallies(self, product: str) -> dict[Any, Any]:
        del product
        return self.seen

    copies = tallies


@dataclass
class Ours:
    """A cluster in which we may do what the chart's Role says. `used` is what we did."""

    api: FakeKubernetes
    cluster: Cluster
    target: KubernetesTarget
    used: set[Right]

    def launch(self, version: int) -> None:
        self.target.launch(Launch(PRODUCT, version, Path(), 2))

    def routing(self, weights: Weights) -> Routing:
        backends = (Backend(version, self._addresses(version)) for version in (1, 2))
        return Routing(tuple(backends), weights)

    def _addresses(self, version: int) -> tuple[str, ...]:
        return tuple(each.address for each in self.target.replicas(PRODUCT, version))


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kinds(LEAST, "Role")["runner"]["rules"]
    return found


def granted() -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ours]:
    used: set[Right] = set()
    allows = Faults.allows

    def noted(faults: Faults, verb: str, group: str, resource: str, name: str = "") -> bool:
        used.add((group, resource, verb))
        return allows(faults, verb, group, resource, name)

    monkeypatch.setattr(Faults, "allows", noted)
    with FakeKubernetes() as api:
        api.answer_pods(lambda *_: Proxied(200, b"{}"))
        api.faults.permit_only(rules())
        cluster = Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))
        section = KubernetesSection(image="seatrial:1")
        yield Ours(api, cluster, KubernetesTarget(cluster, section, None, SystemClock()), used)


def rolled_out(ours: Ours) -> None:
    """Two versions at once, one of which does not become ready at first; one is asked, and both are retired."""
    broken = PodScript(Fate.CRASHING, exit_code=2, log="{}")
    ours.api.script(f"model-{PRODUCT}-v2", broken)
    ours.launch(1)
    ours.launch(2)
    assert all(each.state is ReplicaState.FAILED for each in ours.target.replicas(PRODUCT, 2))
    ours.target.wait(PRODUCT, 2, timedelta(seconds=0.1), SystemClock())
    ours.launch(2)
    ours.api.script(f"model-{PRODUCT}-v2", READY)
    replicas = ours.target.replicas(PRODUCT, 2)
    assert [each.state for each in replicas] == [ReplicaState.READY] * 2
    assert ours.target.versions(PRODUCT) == (1, 2)
    assert ours.target.ask(replicas[0], "/invocations", b"{}").status == 200


def routed(ours: Ours, router: Router) -> None:
    """All to one, then some to the other, read back, and taken away."""
    for weights in (Weights.all_to(1), Weights.of_parts({1: 5000, 2: 5000})):
        router.apply(PRODUCT, ours.routing(weights))
        live = router.read(PRODUCT)
        assert live is not None
        assert live.weights == weights
    router.remove(PRODUCT)


def gateway(ours: Ours) -> GatewayApiRouter:
    ours.api.put(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public"},
            "spec": {"gatewayClassName": "any", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        }
    )
    return GatewayApiRouter(ours.cluster, GatewaySection(name="public"), Counted(), SystemClock())


def autoscaled(ours: Ours) -> None:
    """A version whose pods follow its load."""
    section = KubernetesSection(image="seatrial:1", autoscaling=AutoscalingSection(most=4))
    target = KubernetesTarget(ours.cluster, section, None, SystemClock())
    target.launch(Launch(PRODUCT, 3, Path(), 2))
    target.retire(PRODUCT, 3, timedelta(0))


def everything(ours: Ours) -> None:
    rolled_out(ours)
    autoscaled(ours)
    routed(ours, gateway(ours))
    routed(ours, ServiceRouter(ours.cluster, Counted()))
    for version in (1, 2):
        ours.target.retire(PRODUCT, version, timedelta(0))
    assert ours.api.objects("Deployment") == []


def test_with_the_rights_of_the_chart_everything_can_be_done_and_each_of_them_is_used(ours: Ours) -> None:
    everything(ours)
    assert ours.used == granted() - OF_OTHERS


def test_without_one_of_them_the_verb_that_is_missing_is_named(ours: Ours) -> None:
    ours.api.faults.forbid("patch", "deployments")
    with pytest.raises(ClusterRefused, match='cannot patch resource "deployments"'):
        ours.launch(1)
