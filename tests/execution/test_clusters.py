"""The training on real clusters of processes, one of Dask and one of Ray: the same model, and an end in every case."""

import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pandas as pd
import psutil
import pytest

from deployments.clock import SystemClock
from deployments.errors import BadModel, PlatformUnreachable
from deployments.settings import Settings
from tasks.models.features import select_features
from tasks.models.fitting import Fitted, fit
from tasks.models.train import train
from tasks.product_spec import ProductSpec
from tasks.spec_file import load_product
from tests.execution import clusters
from tests.execution.clusters import PROJECT, REPOSITORY, Dask, Ray, eventually, free_port
from tests.execution.products import product, spread_over
from tests.unit.tasks.models.real_mlflow import data_facts, settings_in, split

pytestmark = [
    pytest.mark.execution,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # Dask's, Ray's and Prefect's own
    pytest.mark.skipif(
        not all(importlib.util.find_spec(name) for name in ("distributed", "ray")),
        reason="Dask and Ray are not installed: make test-execution",
    ),
]
Cluster = Dask | Ray
KINDS = ("dask", "ray")
SCHEMES = {"dask": "tcp", "ray": "ray"}


def place() -> Path:
    """A folder with a short name: Ray has sockets in it."""
    return Path(tempfile.mkdtemp(prefix="sx-"))


def started(kind: str, folder: Path) -> AbstractContextManager[Cluster]:
    return clusters.dask(folder) if kind == "dask" else clusters.ray(folder)


@pytest.fixture(scope="module", params=KINDS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    folder = place()
    with started(request.param, folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=KINDS)
def doomed(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster for one test."""
    folder = place()
    with started(request.param, folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path).model_copy(update={"project": PROJECT})


def fitted(chosen: ProductSpec, settings: Settings, training: pd.DataFrame | None = None) -> Fitted:
    return fit(chosen, split().training if training is None else training, settings, SystemClock())


def flights() -> ProductSpec:
    """Flights, with a forest."""
    spec = load_product(REPOSITORY / "specs" / "flights.yaml")
    forest = {
        "estimator": "sklearn.ensemble.RandomForestClassifier",
        "parameters": {"n_estimators": 40, "min_samples_leaf": 20},
    }
    return spec.model_copy(update={"model": spec.model.model_copy(update=forest)})


def test_a_trained_and_stored_model_is_the_same_to_the_last_bit(cluster: Cluster, settings: Settings) -> None:
    forest = product(estimator="sklearn.ensemble.RandomForestClassifier", parameters={"n_estimators": 12})

    here = train(forest, split(), data_facts(), settings, SystemClock())
    there = train(spread_over(forest, cluster.name, cluster.address), split(), data_facts(), settings, SystemClock())

    assert here.manifest["verification.json"] == there.manifest["verification.json"]
    assert there.warnings == ()


def test_the_forest_of_flights_answers_the_same(cluster: Cluster, settings: Settings) -> None:
    rows = pd.read_parquet(REPOSITORY / "data" / "flights.parquet").head(20_000)

    here = fitted(flights(), settings, rows)
    there = fitted(spread_over(flights(), cluster.name, cluster.address), settings, rows)

    asked = select_features(rows.head(3_000), here.features)
    assert (here.model.predict_proba(asked) == there.model.predict_proba(asked)).all()


def test_a_search_chooses_the_same(cluster: Cluster, settings: Settings) -> None:
    search = product(factory="own_estimators.searching")

    here, there = fitted(search, settings), fitted(spread_over(search, cluster.name, cluster.address), settings)

    assert here.model["model"].best_params_ == there.model["model"].best_params_
    assert (here.model["model"].best_estimator_.coef_ == there.model["model"].best_estimator_.coef_).all()


def test_a_worker_that_dies_during_the_fit_is_made_up_for(cluster: Cluster, settings: Settings, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    mark.touch()
    lethal = product(factory="own_estimators.lethal", parameters={"mark": str(mark)}, output="prediction")

    found = fitted(spread_over(lethal, cluster.name, cluster.address), settings)

    assert not mark.exists(), "no worker died"
    assert len(found.model["model"].estimators_) == 4


def test_a_fit_that_kills_every_worker_is_given_up(doomed: Cluster, settings: Settings) -> None:
    lethal = product(factory="own_estimators.lethal", parameters={"mark": ""}, output="prediction")

    with pytest.raises(BadModel, match=rf"killed every worker of {doomed.address} that tried it .*more memory"):
        fitted(spread_over(lethal, doomed.name, doomed.address), settings)


def _rays() -> set[int]:
    """Processes of Ray clusters that were started by this process."""
    children = psutil.Process().children(recursive=True)
    return {each.pid for each in children if each.name() in {"raylet", "gcs_server"}}


def test_a_cluster_that_is_lost_during_the_fit_is_told(doomed: Cluster, settings: Settings, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    slow = product(factory="own_estimators.sleeping", parameters={"mark": str(mark)}, output="prediction")

    def lose() -> None:
        eventually(mark.exists)
        doomed.lose_the_head()

    before = _rays()
    threading.Thread(target=lose).start()
    with pytest.raises(PlatformUnreachable, match=rf"cluster at {doomed.address} was lost while it fitted"):
        fitted(spread_over(slow, doomed.name, doomed.address), settings)
    assert _rays() <= before, "Ray was started here in its place"


def test_a_cluster_that_freezes_during_the_fit_is_not_waited_for(
    doomed: Cluster, settings: Settings, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    slow = product(factory="own_estimators.sleeping", parameters={"mark": str(mark)}, output="prediction")
    frozen_at: list[float] = []

    def freeze() -> None:
        eventually(mark.exists)
        doomed.freeze()
        frozen_at.append(time.monotonic())

    threading.Thread(target=freeze).start()
    with pytest.raises(PlatformUnreachable, match=r"was lost while it fitted \(it did not answer for 60 s\)"):
        fitted(spread_over(slow, doomed.name, doomed.address), settings)
    assert time.monotonic() - frozen_at[0] < 90


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_where_nobody_listens_is_told_in_time(kind: str, settings: Settings) -> None:
    address = f"{SCHEMES[kind]}://127.0.0.1:{free_port()}"
    began = time.monotonic()

    with pytest.raises(PlatformUnreachable, match=rf"answers at {address} within 2 s"):
        fitted(spread_over(product(), kind, address, timeout="2s"), settings)

    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_who_listens_and_says_nothing_is_not_waited_for_long(kind: str, settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{SCHEMES[kind]}://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()

        with pytest.raises(PlatformUnreachable, match=f"answers at {address}"):
            fitted(spread_over(product(), kind, address, timeout="2s"), settings)

    assert time.monotonic() - began < 60


def test_a_cluster_without_workers_is_told(settings: Settings) -> None:
    folder = place()
    with (
        clusters.dask(folder, workers=0) as empty,
        pytest.raises(PlatformUnreachable, match=rf"cluster at {empty.address} has no workers after 2s"),
    ):
        fitted(spread_over(product(), "dask", empty.address, timeout="2s"), settings)
    shutil.rmtree(folder, ignore_errors=True)


def test_ctrl_c_leaves_nothing_on_the_cluster(cluster: Cluster, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    command = [sys.executable, "-m", "tests.execution.slow_fit", cluster.name, cluster.address, str(mark)]
    with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as child:
        eventually(mark.exists)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=30)

    assert "KeyboardInterrupt" in said
    eventually(cluster.is_idle)
