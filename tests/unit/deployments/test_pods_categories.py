"""Pods tell which unknown categories jumped, whether a Prometheus is there or not."""

import json
from pathlib import Path

import pytest

from deployments.journals.in_memory import InMemoryJournal
from deployments.registry.in_memory import InMemoryRegistry
from deployments.settings import Settings
from deployments.spec import KubernetesSection
from deployments.wiring import cluster_doors
from tests.closed_ledgers import closed_ledgers
from tests.fakes.kubernetes import FakeKubernetes, Proxied
from tests.model_pods import Pods


@pytest.mark.parametrize("prometheus", [None, "http://prometheus.example:9090"])
def test_a_jump_of_unknown_categories_in_pods_is_told(
    prometheus: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.wiring.journal", InMemoryJournal)
    monkeypatch.setattr("deployments.wiring.registry", InMemoryRegistry)
    late = {"zip": {"unknown": 90, "rows": 100, "usual": 0.01}}
    told = {"epoch": "a", "began": "2026-01-01T00:00:00+00:00", "unknown_categories": late}
    with closed_ledgers(monkeypatch), FakeKubernetes(controllers=False) as api:
        pods = Pods(api)
        pods.start(3)
        api.answer_pods(lambda _request, _target: Proxied(200, json.dumps(told).encode()))
        section = KubernetesSection(image="seatrial:1", model="image", prometheus=prometheus)
        doors = cluster_doors(Settings(home=tmp_path, project=tmp_path), section, pods.cluster())
        [said] = doors.category_jumps("shop")
        assert said.startswith("v3: column 'zip' holds a category that training never saw in 90 of the last 100 rows")
        assert list(doors.category_jumps("another")) == []
