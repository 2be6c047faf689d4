"""A Dask cluster whose connections are encrypted: the certificates come from Dask's own configuration."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.settings import Settings
from tests.execution import clusters
from tests.execution.certificates import certify
from tests.execution.clusters import PROJECT, Dask, free_port
from tests.execution.products import product, spread_over
from tests.execution.test_clusters import fitted, place, pytestmark  # noqa: F401 - marks these tests, too
from tests.unit.tasks.models.real_mlflow import settings_in

_FILES = ("ca-file", "client.cert", "client.key")
_FOREST = {"estimator": "sklearn.ensemble.RandomForestClassifier", "parameters": {"n_estimators": 8}}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = place()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def configuration(folder: Path) -> dict[str, str]:
    """What a user sets in the environment, or in Dask's files."""
    authority, certificate, key = map(str, certify(folder))
    tls = "distributed.comm.tls"
    own = {f"{tls}.{who}.{what}": file for who in ("scheduler", "worker", "client") for what, file in
           (("cert", certificate), ("key", key))}  # fmt: skip
    return {f"{tls}.ca-file": authority, "distributed.comm.require-encryption": "true"} | own


@pytest.fixture(scope="module")
def encrypted(folder: Path, configuration: dict[str, str]) -> Iterator[Dask]:
    import dask
    import distributed  # noqa: F401 - whose defaults would else be forgotten together with what is set here

    with pytest.MonkeyPatch.context() as patch, dask.config.set(configuration):
        for name, value in configuration.items():
            patch.setenv(f"DASK_{name.upper().replace('.', '__').replace('-', '_')}", value)
        with clusters.dask(folder, protocol="tls") as running:
            yield running


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path).model_copy(update={"project": PROJECT})


def test_a_forest_grows_behind_encryption(encrypted: Dask, settings: Settings) -> None:
    here = fitted(product(**_FOREST), settings)
    there = fitted(spread_over(product(**_FOREST), "dask", encrypted.address), settings)
    trees = [found.model["model"].estimators_ for found in (here, there)]
    assert [tree.random_state for tree in trees[0]] == [tree.random_state for tree in trees[1]]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "lacks some: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE"),
        (("ca-file",), "lacks some: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE"),
        (_FILES, "cannot be used: .*No such file"),
    ],
    ids=["none", "one of three", "three that are not there"],
)
def test_whoever_has_no_certificate_is_told_what_to_set(settings: Settings, given: tuple[str, ...], says: str) -> None:
    import dask
    import distributed  # noqa: F401 - whose defaults would else be forgotten together with what is set here

    address = f"tls://127.0.0.1:{free_port()}"
    files = {f"distributed.comm.tls.{name}": "/nowhere.pem" if name in given else None for name in _FILES}
    with dask.config.set(files), pytest.raises(BadInput, match=says):
        fitted(spread_over(product(**_FOREST), "dask", address, timeout="5s"), settings)
