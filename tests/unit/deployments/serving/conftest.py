import pytest

from deployments.serving.loaded_model import Model, load
from tests.model_folder import write_model_folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A classifier of flights that answers with probabilities."""
    return load(write_model_folder(tmp_path_factory.mktemp("models") / "v3"), "flights")


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A regression on the same columns."""
    folder = tmp_path_factory.mktemp("models") / "v4"
    return load(write_model_folder(folder, product="delays", task="regression", output="prediction"), "delays")
