"""A model server, a feedback endpoint and a command line, all in memory, about which the pages claim something."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments.serving.model import Model, load
from tests.unit.deployments.serving.test_app import Caller

from deployments.settings import current
from flows.entrypoints import cli
from tests.docs.asked import serving
from tests.model_folder import write_model_folder
from tests.unit.flows.conftest import PROJECT, Seatrial, ledger, seatrial, world

__all__ = ["ledger", "seatrial", "world"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Version 3 of flights: two numbers and a category, answered with probabilities."""
    return load(write_model_folder(tmp_path_factory.mktemp("models") / "v3"), "flights")


@pytest.fixture
def caller(model: Model) -> Caller:
    """Of a server with the limits that it has by default."""
    return serving(model)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Seatrial]:
    """The command line in a home where nothing is, with the products of this repository."""
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(PROJECT))
    current.cache_clear()

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["seatrial", *arguments])
        return cli.run()

    yield run
    current.cache_clear()
