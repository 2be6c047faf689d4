"""A fake cluster for each test, and doors to it that do not wait before they try again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.cluster import Cluster, api_client
from deployments.spec import KubernetesSection
from deployments.targets.kubernetes import KubernetesTarget
from tests.contracts.routers.cluster_worlds import GatewayApiWorld, ServiceWorld
from tests.fakes.kubernetes import FakeKubernetes


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as made:
        yield made


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_client, "_BACKOFF_SECONDS", 0.0)


@pytest.fixture
def cluster(api: FakeKubernetes, tmp_path: Path) -> Cluster:
    return Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def target(cluster: Cluster, clock: ManualClock) -> KubernetesTarget:
    return KubernetesTarget(cluster, KubernetesSection(image="seatrial:1"), "http://mlflow", clock)


@pytest.fixture
def gateway(api: FakeKubernetes, tmp_path: Path) -> GatewayApiWorld:
    return GatewayApiWorld(api, tmp_path)


@pytest.fixture
def service(api: FakeKubernetes, tmp_path: Path) -> ServiceWorld:
    return ServiceWorld(api, tmp_path)
