"""An empty namespace for each test, and clusters by which its journal is reached."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import Watched


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes(controllers=False) as api:
        yield api


@pytest.fixture
def a_cluster(api: FakeKubernetes, tmp_path: Path) -> Callable[[], Watched]:
    return lambda: Watched.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks, or three events, and a chunk is full."""
    monkeypatch.setattr("deployments.journals.kubernetes.append_log.FULL", 500)
