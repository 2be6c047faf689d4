"""Files on servers that nobody named are never asked for, and nothing is sent to them."""

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.errors import BadArtifact, RegistryUnreachable
from deployments.registry.allowed_artifact_uris import check_destination
from deployments.registry.artifact_download import download
from deployments.settings import current
from tasks.models.tracking import mlflow_run
from tests.advice import followed
from tests.unit.deployments.registry.attacked_registry import (
    Mlflow,
)


class Listening(http.server.ThreadingHTTPServer):
    """A server of somebody's own, which notes what it is shown."""

    def __init__(self) -> None:
        heard: list[str] = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.headers.get("authorization", ""))
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answer)
        self.heard = heard


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "seatrial")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "the password")
    current.cache_clear()
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    current.cache_clear()


PLACES = (
    "http://127.0.0.1:{port}/model", "mlflow-artifacts://127.0.0.1:{port}/1/model", "ftp://127.0.0.1:{port}/model",
    "MLFLOW-ARTIFACTS://seatrial@127.0.0.1:{port}/1/model", "mlflow-artifacts://127.0.0.1:nine/1/model",
    "mlflow-artifacts://[127.0.0.1/1/model", "runs:/0123/model", "models:/flights/1",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_files_on_somebody_elses_server_are_never_asked_for(theirs: Listening, tmp_path: Path, place: str) -> None:
    with pytest.raises(BadArtifact) as error:
        download("http://127.0.0.1:9", place.format(port=theirs.server_port), tmp_path, 1000)
    assert followed("the files are said to lie at ") in str(error.value)
    assert theirs.heard == []


def test_a_server_that_was_named_is_asked_and_shown_the_password(
    theirs: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"mlflow-artifacts://127.0.0.1:{theirs.server_port}/1/model"
    with pytest.raises(BadArtifact) as error:
        check_destination("http://127.0.0.1:9", place)
    assert followed(": if it is yours, name it in SEATRIAL_ARTIFACT_SERVERS") in str(error.value)
    monkeypatch.setenv("SEATRIAL_ARTIFACT_SERVERS", json.dumps([f"127.0.0.1:{theirs.server_port}"]))
    current.cache_clear()
    check_destination("http://127.0.0.1:9", place)
    with pytest.raises(RegistryUnreachable):
        download("http://127.0.0.1:9", place, tmp_path, 1000)
    assert theirs.heard[0].startswith("Basic ")


@pytest.mark.parametrize(
    ("registry", "place"),
    [
        ("http://mlflow", "mlflow-artifacts:/1/model"), ("http://mlflow", "mlflow-artifacts://mlflow:80/1/model"),
        ("https://u:p@mlflow/x", "https://mlflow:443/y"), ("sqlite:///x.db", "file:///models/1"),
        ("http://mlflow", "s3://bucket/1/model"), ("http://mlflow", "/models/1"),
    ],
)  # fmt: skip
def test_a_place_of_the_operators_is_no_strangers(registry: str, place: str) -> None:
    check_destination(registry, place)


def test_a_training_sends_nothing_to_the_server_of_whoever_made_the_experiment(
    mlflow: Mlflow, theirs: Listening
) -> None:
    mlflow.client.create_experiment("trains", f"http://127.0.0.1:{theirs.server_port}/")
    with (
        pytest.raises(BadArtifact, match="would have the files stored"),
        mlflow_run("trains", "1", {}, mlflow.settings, SystemClock()),
    ):
        pytest.fail("nothing is written")
    assert theirs.heard == []
