"""The doors of a cluster lead into its namespace only."""

from pathlib import Path

import pytest

from deployments.cluster import Cluster
from deployments.journals.in_memory import InMemoryJournal
from deployments.registry.in_memory import InMemoryRegistry
from deployments.settings import Settings
from deployments.spec import KubernetesSection
from deployments.wiring import cluster_doors
from tests.closed_ledgers import closed_ledgers
from tests.fakes.prometheus import FakePrometheus


def test_a_prometheus_is_asked_for_pods_of_the_namespace_only(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.wiring.journal", InMemoryJournal)
    monkeypatch.setattr("deployments.wiring.registry", InMemoryRegistry)
    with closed_ledgers(monkeypatch), FakePrometheus() as prometheus:
        section = KubernetesSection(image="seatrial:1", model="image", prometheus=prometheus.url)
        doors = cluster_doors(Settings(home=tmp_path, project=tmp_path), section, cluster)
        assert doors.router.tallies("flights") == {}
        assert prometheus.queries
        assert all('namespace=~"default|"' in query for query in prometheus.queries)
