import warnings
from pathlib import Path

import pytest

from benchmarks.serving.models import train
from tests.hostile.slow_model import write_slow_model
from tests.model_folder import write_model_folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small classifier of flights, compiled when it is served."""
    return write_model_folder(tmp_path_factory.mktemp("models") / "v3")


@pytest.fixture(scope="session")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier of tumours by thirty numbers: the same by rows of a matrix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's, at its import
        return train("LogisticRegression", tmp_path_factory.mktemp("tumours")).seatrial


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes 20 ms a row."""
    return write_slow_model(tmp_path_factory.mktemp("slow") / "v3")
