"""Where a fit runs: what is refused, and how long is waited."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import joblib
import pytest

from deployments.clock import ManualClock
from deployments.errors import BadInput, BadSpec, PlatformUnreachable
from deployments.settings import Settings
from tasks.execution.fit_location import check_installed, fitted_by, parallel_backend, within_cores
from tasks.product_spec import ExecutionSection
from tests.unit.tasks.execution.test_joblib_backend import execution
from tests.unit.tasks.execution.threads import Threads


@pytest.mark.parametrize(
    ("backend", "module", "address"), [("dask", "distributed", "tcp://a:1"), ("ray", "ray", "ray://a:1")]
)
def test_a_backend_that_is_not_installed_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, backend: str, module: str, address: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    chosen = execution(backend=backend, address=address)
    says = rf"{backend}, which is not installed: pip install 'seatrial\[{backend}\]'"
    with pytest.raises(BadSpec, match=says):
        check_installed(chosen)
    with pytest.raises(BadSpec, match=says), parallel_backend(chosen, ManualClock()):
        pytest.fail("nothing is fitted")


def test_nothing_has_to_be_installed_for_this_machine() -> None:
    check_installed(ExecutionSection())
    with parallel_backend(ExecutionSection(), ManualClock()):
        assert joblib.effective_n_jobs(None) == 1


@pytest.mark.parametrize(
    ("chosen", "cores"),
    [
        (ExecutionSection(), 4),
        (ExecutionSection(jobs=2), 2),
        (ExecutionSection(jobs=64), 4),
        (execution(jobs=2), 4),
    ],
    ids=["none asked for", "fewer", "more than allowed", "a cluster's"],
)
def test_the_spec_may_ask_for_fewer_cores_of_this_machine_but_not_for_more(
    tmp_path: Path, chosen: ExecutionSection, cores: int
) -> None:
    settings = Settings(home=tmp_path, project=tmp_path, training_jobs=4)
    assert within_cores(chosen, settings).training_jobs == cores


class Waking(ManualClock):
    """A clock on which a cluster has a worker after a while."""

    def __init__(self, cluster: Threads, after: timedelta) -> None:
        super().__init__()
        self._cluster, self._after = cluster, after

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        if self.monotonic() >= self._after.total_seconds():
            self._cluster.cores_now = 2


def test_a_cluster_may_take_a_while_to_have_a_worker() -> None:
    cluster = Threads(cores=0)
    clock = Waking(cluster, timedelta(seconds=8))
    with fitted_by(cluster, execution(timeout="10s"), clock):
        assert joblib.effective_n_jobs(None) == 2
    assert 8 <= clock.monotonic() < 9


def test_a_cluster_without_workers_is_not_waited_for_longer_than_the_spec_says() -> None:
    clock = ManualClock()
    with (
        pytest.raises(
            PlatformUnreachable, match=r"dask cluster at tcp://cluster:8786 has no workers after 10s: start some"
        ),
        fitted_by(Threads(cores=0), execution(timeout="10s"), clock),
    ):
        pytest.fail("nothing is fitted")
    assert 10 <= clock.monotonic() < 11


def test_workers_with_another_scikit_learn_are_refused() -> None:
    cluster = Threads()
    cluster.found = cluster.found | {("3.9", "1.2.0")}
    with (
        pytest.raises(BadInput, match=r"have Python 3\.9 with scikit-learn 1\.2\.0, here it is"),
        fitted_by(cluster, execution(), ManualClock()),
    ):
        pytest.fail("nothing is fitted")


def test_after_the_fit_everything_is_done_here_again() -> None:
    with fitted_by(Threads(cores=6), execution(), ManualClock()):
        assert joblib.effective_n_jobs(None) == 6
    assert joblib.effective_n_jobs(None) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"backend": "local", "address": "tcp://a:1"}, "that of a cluster"),
        ({"backend": "dask", "address": None}, "write tcp://HOST:PORT or tls://HOST:PORT"),
        ({"backend": "dask", "address": "ray://a:10001"}, "that of a dask cluster"),
        ({"backend": "ray", "address": "a:6379"}, "write ray://HOST:PORT"),
        ({"backend": "ray", "address": "ray://a"}, "that of a ray cluster"),
        ({"address": "tcp://a:port"}, "that of a dask cluster"),
        ({"address": "tcp://ann:secret@a:8786"}, "that of a dask cluster"),
        ({"address": "tcp://a:8786/more"}, "that of a dask cluster"),
        ({"jobs": 1}, "nothing is left for the cluster"),
        ({"jobs": 0}, "greater than or equal to 1"),
        ({"timeout": "11m"}, "less than or equal to 10 minutes"),
    ],
)
def test_an_execution_that_cannot_be_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        execution(**fields)
