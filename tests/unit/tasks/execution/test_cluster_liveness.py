"""A cluster that stops answering is not waited for."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier

from deployments.errors import PlatformUnreachable
from tasks.execution.cluster_liveness import watched
from tasks.execution.cluster_protocol import Call
from tasks.execution.joblib_backend import ClusterBackend
from tests.unit.tasks.execution.test_joblib_backend import rows
from tests.unit.tasks.execution.threads import Threads

TOLD = r"the dask cluster was lost while it fitted \(it did not answer for 0\.2 s\)"


class Freezing(Threads):
    """Answers nothing from some moment on."""

    def __init__(self) -> None:
        super().__init__()
        self.flowing = threading.Event()
        self.flowing.set()

    def freeze(self) -> None:
        self.flowing.clear()

    def cores(self) -> int:
        self.flowing.wait(200)
        return super().cores()

    def keep(self, value: Any) -> int:
        self.flowing.wait(200)
        return super().keep(value)


@pytest.fixture
def cluster() -> Iterator[Freezing]:
    made = Freezing()
    yield made
    made.flowing.set()


def calls(function: Any) -> list[Call]:
    return [(function, [], {}, {})]


def test_a_fit_on_a_cluster_that_freezes_ends(cluster: Freezing) -> None:
    from joblib import parallel_config

    def freeze() -> None:
        cluster.freeze()
        cluster.flowing.wait(200)

    cluster.before_piece = freeze
    with (
        watched(cluster, "dask cluster", 0.2, every=0.01) as seen,
        parallel_config(backend=ClusterBackend(seen)),
        pytest.raises(PlatformUnreachable, match=TOLD),
    ):
        RandomForestClassifier(200, n_jobs=-1).fit(*rows())


@pytest.mark.parametrize("asked", ["cores", "keep", "start", "versions"])
def test_whoever_asks_a_frozen_cluster_is_told_now_and_later(cluster: Freezing, asked: str) -> None:
    questions: dict[str, tuple[Any, ...]] = {"keep": (1,), "start": (calls(int), [])}
    cluster.freeze()
    cluster.before_start = lambda: cluster.flowing.wait(200) and None
    with watched(cluster, "dask cluster", 0.2, every=0.01) as seen:
        with pytest.raises(PlatformUnreachable, match=TOLD):
            seen.keep(1)
        with pytest.raises(PlatformUnreachable, match=TOLD):
            getattr(seen, asked)(*questions.get(asked, ()))


def test_a_piece_that_takes_longer_than_an_answer_may_is_waited_for(cluster: Freezing) -> None:
    with watched(cluster, "dask cluster", 3, every=0.01) as seen:
        assert seen.start(calls(lambda: time.sleep(3.5) or 7), []).result(60) == [7]


def test_a_piece_that_nobody_wants_any_more_is_cancelled_on_the_cluster(cluster: Freezing) -> None:
    started: Future[list[Any]] = Future()
    cluster.start = lambda calls, kept: started  # type: ignore[method-assign]
    with watched(cluster, "dask cluster", 5) as seen:
        assert seen.start(calls(int), []).cancel()
    assert started.cancelled()


def test_after_the_fit_nobody_is_asked_any_more(cluster: Freezing) -> None:
    asked = 0

    def count() -> int:
        nonlocal asked
        asked += 1
        return 2

    cluster.cores = count  # type: ignore[method-assign]
    with watched(cluster, "dask cluster", 5, every=0.01):
        while not asked:
            time.sleep(0.01)
    before = asked
    time.sleep(0.1)
    assert asked <= before + 1
