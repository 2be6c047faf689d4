"""MLflow's real server behind the door, started once as `seatrial up` and as the chart start it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import httpx
import pytest

from deployments.clock import SystemClock
from deployments.key_files import known_key
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.await_ready import answers, wait_until
from deployments.local_platform.services import mlflow_server
from deployments.settings import Settings
from deployments.web_login.password import USER

LIMIT = timedelta(minutes=3)
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("mlflow")
    return Settings(home=folder / "home", project=folder)


@pytest.fixture(scope="module")
def url(settings: Settings) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    program = mlflow_server(settings, Addresses("127.0.0.1", mlflow=port))
    (settings.home / "mlflow").mkdir(parents=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    # As in a cluster it has one more name, and keeps artifacts itself.
    command = [each for each in program.command if each != "--default-artifact-root"]
    command = [*command[:-1], "--artifacts-destination", command[-1], "--name", "mlflow.ml.svc"]
    with (settings.project / "log").open("wb") as log:
        process = subprocess.Popen(command, env=own | dict(program.environment), stdout=log, stderr=log)
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/health"), "mlflow-server", LIMIT, SystemClock())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


def password(settings: Settings) -> str:
    return known_key(settings.keys_folder, "prefect").decode()


@pytest.fixture
def api(url: str, settings: Settings) -> Iterator[httpx.Client]:
    """Whoever knows the password."""
    with httpx.Client(base_url=url, auth=(USER, password(settings)), timeout=60, trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/experiments/search?max_results=1"), ("POST", f"{API}/registered-models/create"),
        ("GET", "/ajax-api/2.0/mlflow/experiments/search?max_results=1"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts"),
        ("GET", "/get-artifact?path=x&run_uuid=y"), ("GET", "/ajax-api/3.0/mlflow/assistant/config"),
        ("POST", "/graphql"), ("POST", "/v1/traces"), ("GET", "/version"), ("GET", "/"),
        ("GET", "/static-files/index.html"),
    ],
)  # fmt: skip
def test_nobody_reads_or_changes_anything_without_the_password(url: str, method: str, path: str) -> None:
    assert httpx.request(method, f"{url}{path}", timeout=60, trust_env=False).status_code == 401


def test_no_other_page_does_whatever_its_browser_knows(api: httpx.Client) -> None:
    made = {"name": "evil"}
    for origin in ("http://evil.example", "http://127.0.0.1:9999", "http://localhost:9999", "null"):
        for answer in (
            api.post(f"{API}/registered-models/create", json=made, headers={"origin": origin}),
            api.get(f"{API}/experiments/search?max_results=1", headers={"origin": origin}),
            api.options(f"{API}/registered-models/create", headers={"origin": origin}),
        ):
            assert answer.status_code == 403
            assert not any(name.startswith("access-control") for name in answer.headers)
    assert api.get(f"{API}/experiments/search?max_results=1", headers={"host": "evil.example"}).status_code == 403
    assert api.get(f"{API}/registered-models/get?name=evil").status_code == 404


def test_by_the_name_of_its_service_it_answers(api: httpx.Client, url: str) -> None:
    for host in ("mlflow.ml.svc:5000", "localhost:14711", url.removeprefix("http://")):
        ours = {"host": host, "origin": f"http://{host}"}
        assert api.get(f"{API}/experiments/search?max_results=1", headers=ours).status_code == 200
        assert api.post(f"{API}/experiments/search", json={"max_results": 1}, headers=ours).status_code == 200


CLIENT = """
import mlflow, pathlib
mlflow.set_experiment("mine")
with mlflow.start_run() as run:
    mlflow.log_metric("rmse", 1.5)
    mlflow.log_text("words", "note.txt")
client = mlflow.MlflowClient()
client.create_registered_model("flights")
note = mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt")
print(client.get_run(run.info.run_id).data.metrics["rmse"], note)
"""


def test_a_program_of_the_users_shows_the_password_by_mlflows_own_variables(url: str, settings: Settings) -> None:
    told: dict[str, Any] = {
        "MLFLOW_TRACKING_URI": url, "MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": password(settings),
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CLIENT], env=os.environ | told, capture_output=True, text=True, timeout=200, check=False
    )
    assert "1.5 words" in done.stdout, done.stderr


def test_the_password_is_in_no_file_but_its_own(url: str, settings: Settings) -> None:
    assert url
    secrets = [known_key(settings.keys_folder, name) for name in ("prefect", "pages")]
    files = [path for path in settings.project.rglob("*") if path.is_file() and path.parent != settings.keys_folder]
    assert files
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]
