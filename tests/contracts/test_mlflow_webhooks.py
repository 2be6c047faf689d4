"""MLflow's real server tells the real control service of an alias that is set, and what it loses is found."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.clock import ManualClock, SystemClock
from deployments.journals.database import DatabaseJournal
from deployments.journals.protocol import Event
from deployments.journals.registration_notes import REGISTERED
from deployments.local_platform.addresses import Addresses, write_addresses
from deployments.local_platform.await_ready import answers, wait_until
from deployments.local_platform.mlflow_address import mlflow_rest
from deployments.local_platform.services import control_service, mlflow_server
from deployments.settings import Settings
from deployments.supervision import Program
from deployments.webhooks.hooks import Hook, Hooks, new_hook
from deployments.webhooks.inbox import Inbox, State
from deployments.webhooks.reconciler import DELIVERED_WITHIN, Reconciler, begin, point_at
from tests.ports import free_port
from tests.unit.deployments.webhooks.prefect_server import Prefect

LIMIT = timedelta(minutes=3)
PRODUCT = "shop"


class Place:
    """A home with the webhook of one product, MLflow and a control service that are started and killed."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", project=folder)
        self.settings.private_home()
        (self.settings.home / "mlflow").mkdir()
        self.addresses = Addresses("127.0.0.1", gateway=free_port(), prefect=free_port(), mlflow=free_port())
        write_addresses(self.settings, self.addresses)
        self.hooks = Hooks(self.settings.keys_folder)
        self.log = folder / "log"

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.settings.feedback_database)

    @contextmanager
    def running(self, program: Program, *more: str, health: str) -> Iterator[subprocess.Popen[bytes]]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*program.command, *more], env=own | dict(program.environment), stdout=log, stderr=log
            )
        try:
            wait_until(lambda: answers(health) or process.poll() is not None, program.name, LIMIT, SystemClock())
            assert process.poll() is None, self.log.read_text()[-2000:]
            yield process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            process.kill()
            process.wait()

    def mlflow(self) -> Any:
        program = mlflow_server(self.settings, self.addresses)
        return self.running(program, health=f"{self.addresses.url('mlflow')}/health")

    def control(self) -> Any:
        program = control_service(self.settings, self.addresses)
        return self.running(
            program, "--port", str(self.addresses.gateway), health=f"{self.addresses.url('gateway')}/health"
        )

    def versions(self, *numbers: int) -> None:
        """Registers so many versions in MLflow, of which the journal knows."""
        with mlflow_rest(self.settings) as mlflow:
            with suppress(Exception):
                mlflow._told("POST", "/registered-models/create", {"name": PRODUCT})
            for _ in numbers:
                mlflow._told("POST", "/model-versions/create", {"name": PRODUCT, "source": "s3://bucket/model"})
        journal = DatabaseJournal(self.settings.journal_address)
        for number in numbers:
            detail = {"version": number, "mlflow_run": "abc", "seal": "def"}
            journal.record(Event(PRODUCT, "run", datetime.now(UTC), REGISTERED, detail))
        journal.close()

    def set_alias(self, version: int) -> None:
        with mlflow_rest(self.settings) as mlflow:
            mlflow.set_alias(PRODUCT, "challenger", version)

    def hook(self) -> Hook:
        with mlflow_rest(self.settings) as mlflow:
            hook = new_hook("mlflow", PRODUCT)
            begin(mlflow, self.inbox, hook, datetime.now(UTC))
            registered = point_at(mlflow, hook, str(self.addresses.url("gateway")))
        made = Hook("mlflow", PRODUCT, hook.rules, hook.keys, registered)
        self.hooks.keep(made)
        return made


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    Prefect.runs.clear()
    server = ThreadingHTTPServer(("127.0.0.1", made.addresses.prefect or 0), Prefect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


def test_an_alias_that_is_set_on_mlflows_page_starts_that_version_and_what_is_lost_is_found(place: Place) -> None:
    inbox = place.inbox
    with place.mlflow() as mlflow, place.control() as control:
        place.versions(1, 2)
        hook = place.hook()
        place.set_alias(1)
        until(lambda: len(Prefect.runs) == 1)
        assert list(Prefect.runs.values()) == [{"request": {"product": PRODUCT, "version": 1}}]
        (delivered,) = inbox.newest(10)
        until(lambda: inbox.newest(1)[0].state is State.STARTED)
        assert delivered.wish.reason == "alias:challenger was set on v1"

        # MLflow's own test of a webhook arrives, and starts nothing.
        with mlflow_rest(place.settings) as rest:
            tried = rest._told("POST", f"/webhooks/{hook.registered}/test", {})
        assert (tried["result"]["success"], json.loads(tried["result"]["response_body"])["accepted"]) == (True, False)
        assert len(inbox.newest(10)) == 1

        assert psutil.Process(control.pid).memory_info().rss < 90e6
        control.kill()
        control.wait()
        place.set_alias(2)  # MLflow tries to deliver it, and dies
        mlflow.kill()
        mlflow.wait()
    with place.mlflow():
        assert len(inbox.newest(10)) == 1
        clock = ManualClock(datetime.now(UTC))
        reconciler = Reconciler(place.hooks, lambda: inbox, lambda: mlflow_rest(place.settings), clock)
        for _ in range(3):
            reconciler.look()
            clock.advance(DELIVERED_WITHIN)
        assert [each.wish.version for each in inbox.newest(10)] == [2, 1]
        assert "which MLflow did not deliver" in inbox.newest(1)[0].wish.reason

        # Its secret survived the restart, in a file of ours.
        with place.control():
            until(lambda: len(Prefect.runs) == 2)
            place.set_alias(1)
            until(lambda: len(Prefect.runs) == 3)
    inbox.close()
    secret = hook.keys[0].secret
    kept = (path for path in place.settings.project.rglob("*") if path.is_file())
    others = [
        path for path in kept if path.parent != place.settings.keys_folder and secret.encode() in path.read_bytes()
    ]
    assert others == []
