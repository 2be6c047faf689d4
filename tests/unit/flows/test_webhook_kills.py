"""The control service is killed at each moment between a delivery and its run: there is one run, and one line of it."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from deployments.clock import SystemClock
from deployments.journals.database import DatabaseJournal
from deployments.journals.protocol import Event
from deployments.journals.registration_notes import REGISTERED
from deployments.local_platform.await_ready import answers, wait_until
from deployments.settings import Settings
from deployments.webhooks.inbox import Inbox, State
from tests.ports import free_port
from tests.unit.deployments.webhooks.deliveries import PRODUCT, SOURCE_NAMES, delivery, hooks_in
from tests.unit.deployments.webhooks.prefect_server import Prefect
from tests.unit.flows.webhook_victim import POINTS

_SAMPLE = {("committed", "generic"), ("started", "mlflow")}
CASES = [
    pytest.param(point, source, marks=() if (point, source) in _SAMPLE else pytest.mark.crash)
    for point in POINTS
    for source in SOURCE_NAMES
]


@pytest.fixture
def prefect() -> Iterator[str]:
    Prefect.runs.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prefect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/api"
    server.shutdown()
    server.server_close()


@contextmanager
def service(folder: Path, prefect: str, point: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    told = {"SEATRIAL_HOME": str(folder / "home"), "SEATRIAL_PROJECT": str(folder), "PREFECT_API_URL": prefect}
    command = [sys.executable, "-m", "tests.unit.flows.webhook_victim", point, "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=own | told, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: process.poll() is not None or answers(f"{url}/health"),
            "control",
            timedelta(minutes=2),
            SystemClock(),
        )
        yield process, url
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("point", "source"), CASES)
def test_whoever_dies_between_receipt_and_run_leaves_one_run(
    tmp_path: Path, prefect: str, point: str, source: str
) -> None:
    settings = Settings(home=tmp_path / "home", project=tmp_path)
    settings.private_home()
    hook = hooks_in(settings.keys_folder, source).find(source, PRODUCT)
    journal = DatabaseJournal(settings.journal_address)
    journal.record(Event(PRODUCT, "r", datetime.now(UTC), REGISTERED, {"version": 3, "mlflow_run": "a", "seal": "b"}))
    headers, body = delivery(hook, datetime.now(UTC))

    def sent(url: str) -> int:
        told = headers | {"content-type": "application/json"}
        return httpx.post(f"{url}{hook.path}", content=body, headers=told, timeout=30, trust_env=False).status_code

    status = 0
    with service(tmp_path, prefect, point) as (victim, url):
        with suppress(httpx.HTTPError):
            status = sent(url)
        assert victim.wait(60) == -signal.SIGKILL, (tmp_path / "log").read_text()
    with service(tmp_path, prefect, "none") as (_, url):
        if status != 202:  # as every sender does that was not answered
            assert sent(url) in {200, 202}
        inbox = Inbox(settings.feedback_database)
        ends = time.monotonic() + 60
        while [each.state for each in inbox.newest(10)] != [State.STARTED]:
            assert time.monotonic() < ends, (tmp_path / "log").read_text()
            time.sleep(0.1)
        assert sent(url) == 200
        inbox.close()
    assert len(Prefect.runs) == 1
    assert [event.kind for event in journal.events(PRODUCT) if event.kind.startswith("webhook.")] == ["webhook.started"]
    journal.close()
    assert hook.keys[0].secret not in (tmp_path / "log").read_text()
