import shutil
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving.models import train
from tests.e2e.conftest import SPEC, Seatrial, Shop, seatrial_in
from tests.hostile.attacked import Attacked
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


@pytest.fixture(scope="session")
def attacked() -> Iterator[Attacked]:
    """A platform of its own with one product; feedback is not slowed down, so that it is attacked, too."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    made = seatrial_in(folder)
    platform = Seatrial(made.home, made.project, made.environment | {"SEATRIAL_FEEDBACK_RATE": "100000000"})
    try:
        started = platform.run("up")
        assert started.returncode == 0, started.stderr
        released = platform.run("release", str(Shop("shop", folder / "shop", SPEC).write().file))
        assert released.returncode == 0, released.stderr
        yield Attacked(platform)
    finally:
        platform.run("down")
        for process in platform.processes():
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)
