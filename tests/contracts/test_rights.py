"""The chart's Role for runs allows everything that the doors of a cluster do, and nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.errors import ClusterRefused
from deployments.journals.kubernetes import ClusterJournal
from deployments.journals.protocol import Event
from deployments.metrics.pods import PodCounters
from deployments.process_identity import this_process
from deployments.rollout.state import Phase, RolloutState
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.kubernetes_service import ServiceRouter
from deployments.routers.protocol import Router
from deployments.spec import AutoscalingSection, GatewaySection, KubernetesSection, RolloutSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, ReplicaState
from deployments.traffic import Backend, Routing, Weights
from tasks.rollout_engine.takeover import orphans
from tests.contracts.kubernetes.breaking import goes_late
from tests.fakes.kubernetes import READY, FakeKubernetes, Fate, Faults, PodScript, Proxied
from tests.unit.infra.helm import BARE, kinds

PRODUCT = "flights"
Right = tuple[str, str, str]


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


def rules(role: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = kinds(BARE, "Role")[role]["rules"]
    return found


def granted(role: str) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in rules(role)
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
        api.faults.permit_only(rules("runner"))
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
        router.tallies(PRODUCT)
    router.remove(PRODUCT)


def journaled(ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollout from its beginning until it is old enough to be forgotten."""
    monkeypatch.setattr("deployments.journals.kubernetes.journal.ROLLOUTS_KEPT", 0)
    journal, now = ClusterJournal(ours.cluster), datetime.now(UTC)
    lease = journal.acquire(PRODUCT, this_process(), now, timedelta(minutes=1))
    for number, phase in enumerate((Phase.DONE, Phase.RUNNING)):
        journal.save(
            RolloutState(
                f"r{number}", PRODUCT, 2, 1, "canary", RolloutSection(), (), 0, phase, "", now, now, now
            ),
            lease,
        )  # fmt: skip
    for kind in ("step.intended", "step.done"):
        journal.record(Event(PRODUCT, "r1", now, kind, {}))
    assert [state.rollout_id for state in journal.rollouts(PRODUCT)] == ["r1"]
    journal.release(lease)


def gateway(ours: Ours) -> GatewayApiRouter:
    ours.api.put(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public"},
            "spec": {"gatewayClassName": "any", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        }
    )
    return GatewayApiRouter(
        ours.cluster, GatewaySection(name="public"), PodCounters(ours.cluster), SystemClock(), timedelta(0)
    )


def autoscaled(ours: Ours) -> None:
    """A version whose pods follow its load."""
    section = KubernetesSection(image="seatrial:1", autoscaling=AutoscalingSection(most=4))
    target = KubernetesTarget(ours.cluster, section, None, SystemClock())
    target.launch(Launch(PRODUCT, 3, Path(), 2))
    target.retire(PRODUCT, 3, timedelta(0))


def everything(ours: Ours, monkeypatch: pytest.MonkeyPatch) -> None:
    journaled(ours, monkeypatch)
    rolled_out(ours)
    autoscaled(ours)
    routed(ours, gateway(ours))
    routed(ours, ServiceRouter(ours.cluster, PodCounters(ours.cluster)))
    for version in (1, 2):
        goes_late(ours.api, f"model-{PRODUCT}-v{version}")
        ours.target.retire(PRODUCT, version, timedelta(0))
    assert ours.api.objects("Deployment") == []


def test_with_the_rights_of_the_chart_everything_can_be_done_and_each_of_them_is_used(
    ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(ours, monkeypatch)
    assert ours.used == granted("runner")


def test_without_one_of_them_the_verb_that_is_missing_is_named(ours: Ours) -> None:
    ours.api.faults.forbid("patch", "deployments")
    with pytest.raises(ClusterRefused, match='cannot patch resource "deployments"'):
        ours.launch(1)


def test_what_hands_rollouts_over_reads_who_carries_them_and_nothing_else(
    ours: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    journaled(ours, monkeypatch)
    ours.used.clear()
    ours.api.faults.permit_only(rules("handing-over"))
    assert [state.rollout_id for state in orphans(ClusterJournal(ours.cluster), datetime.now(UTC))] == ["r1"]
    assert ours.used == granted("handing-over")
