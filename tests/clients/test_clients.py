"""The protocols' own clients against a model server, Triton's and KServe's from an environment of theirs."""

import json
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.serving.startup.socket_handover import tcp_listener
from tests.model_folder import write_model_folder

pytestmark = pytest.mark.clients
REPOSITORY = Path(__file__).parents[2]
CLIENTS = Path(f"{sys.prefix}-clients") / "bin" / "python"
ROWS = [[1400.0, 5.0, "UA"], [740.0, 8.5, "B6"], [2475.0, 17.0, "Ünknown"]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A model server of its own process."""
    if not CLIENTS.exists():
        pytest.skip("the clients are not installed: make test-clients")
    folder = write_model_folder(tmp_path_factory.mktemp("models") / "v3")
    with tcp_listener("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    served = ["--model", str(folder), "--product", "flights", "--version", "3", "--port", str(port)]
    command = [sys.executable, "-m", "deployments.serving", *served]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as server:
        try:
            yield ready(server, f"http://127.0.0.1:{port}")
        finally:
            server.terminate()


def ready(server: subprocess.Popen[bytes], url: str) -> str:
    while True:
        assert server.poll() is None
        with suppress(httpx.TransportError):
            httpx.get(f"{url}/v2/health/ready").raise_for_status()
            return url
        time.sleep(0.1)


@pytest.fixture(scope="module")
def expected(url: str) -> list[list[float]]:
    """The probabilities, as MLflow's form gives them."""
    predictions: list[list[float]] = httpx.post(f"{url}/invocations", json={"instances": ROWS}).json()["predictions"]
    return predictions


def told(caller: str, url: str) -> dict[str, Any]:
    command = [str(CLIENTS), str(Path(__file__).with_name(caller)), url]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    answers: dict[str, Any] = json.loads(finished.stdout)
    return answers


@pytest.fixture(scope="module")
def triton(url: str) -> dict[str, Any]:
    return told("triton_caller.py", url.removeprefix("http://"))


@pytest.fixture(scope="module")
def kserve(url: str) -> dict[str, Any]:
    return told("kserve_caller.py", url)


def test_tritons_client_reads_health_and_metadata(triton: dict[str, Any]) -> None:
    assert (triton["live"], triton["ready"], triton["model ready"]) == (True, True, [True, True])
    assert triton["another model"] is False
    assert triton["server"]["extensions"] == ["binary_tensor_data"]
    assert [column["name"] for column in triton["model"]["inputs"]] == ["distance", "hour", "carrier"]


@pytest.mark.parametrize("way", ["bytes", "json", "gzip", "deflate", "all outputs"])
def test_tritons_client_gets_the_same_predictions_in_every_way(
    triton: dict[str, Any], expected: list[list[float]], way: str
) -> None:
    answer = triton[way]
    assert answer == {"id": "mine", "prediction": [row[1] > 0.5 for row in expected], "probability": expected}


def test_tritons_client_may_ask_in_bytes_for_an_answer_in_json(
    triton: dict[str, Any], expected: list[list[float]]
) -> None:
    assert triton["mixed"] == {"id": "mine", "prediction": None, "probability": expected}


def test_tritons_client_sends_many_rows(triton: dict[str, Any], expected: list[list[float]]) -> None:
    np.testing.assert_allclose(triton["many rows"]["probability"], expected * 5_000, rtol=1e-12)


def test_tritons_client_shows_what_is_wrong(triton: dict[str, Any]) -> None:
    assert triton["refused"] == "422 column 'distance' is missing: send null where its value is not known"


def test_kserves_client_reads_health(kserve: dict[str, Any]) -> None:
    assert (kserve["live"], kserve["ready"], kserve["model ready"], kserve["another model"]) == (
        True,
        True,
        True,
        False,
    )


@pytest.mark.parametrize("way", ["bytes", "json", "all in bytes"])
def test_kserves_client_gets_the_same_predictions_in_every_way(
    kserve: dict[str, Any], expected: list[list[float]], way: str
) -> None:
    answer = kserve[way]
    assert answer == {"id": "mine", "prediction": [row[1] > 0.5 for row in expected], "probability": expected}


def test_kserves_client_gets_only_the_output_that_it_wants(kserve: dict[str, Any], expected: list[list[float]]) -> None:
    assert kserve["only"] == {"id": "mine", "probability": expected}


def test_kserves_client_shows_what_is_wrong(kserve: dict[str, Any]) -> None:
    assert kserve["refused"].startswith("column 'distance' is missing")


def test_mlflows_client_gets_the_same_predictions_from_its_frame(url: str, expected: list[list[float]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.pyfunc.scoring_server.client import ScoringServerClient
    import pandas as pd

    client = ScoringServerClient("127.0.0.1", httpx.URL(url).port)
    client.ping()
    frame = pd.DataFrame(ROWS, columns=["distance", "hour", "carrier"])
    assert client.invoke(frame).get_predictions().to_numpy().tolist() == expected
