"""The control service: 202 means that it is on the disk, and whatever is wrong is told in one answer."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.analysis.evidence import Sums
from deployments.clock import SystemClock
from deployments.errors import PlatformUnreachable
from deployments.inference_logs import Log
from deployments.metrics.feedback import FeedbackLedger
from deployments.platform.services import control_socket
from deployments.serving.inference_log.parts import Parts, store_of
from deployments.serving.inference_log.table import Tables
from deployments.settings import Settings
from deployments.supervision import UnixConnection
from flows.entrypoints.control import MAX_BODY_BYTES, Settler, make_app
from tests.ports import free_port
from tests.unit.deployments.serving.inference_log.answered import logged
from tests.unit.deployments.serving.inference_log.test_table import FLIGHTS

ROOT = Path(__file__).parents[3]
GOOD = {"product": "shop", "version": 3, "request_id": "a-1", "metric": "clicks", "value": 1.5}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[FeedbackLedger]:
    ledger = FeedbackLedger(f"sqlite:///{tmp_path / 'journal.db'}")
    yield ledger
    ledger.close()


def push(ledger: FeedbackLedger | None, content: Any, method: str = "POST", kind: str = "") -> httpx.Response:
    def open_ledger() -> FeedbackLedger:
        if ledger is None:
            raise PlatformUnreachable("the database is away; its password is hunter2")
        return ledger

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(open_ledger, SystemClock()))
        async with httpx.AsyncClient(transport=transport, base_url="http://control") as client:
            headers = {"content-type": kind} if kind else {}
            return await client.request(method, "/seatrial/feedback", content=content, headers=headers)

    return asyncio.run(send())


def test_what_is_accepted_is_stored(ledger: FeedbackLedger) -> None:
    response = push(ledger, json.dumps([GOOD, GOOD | {"request_id": "b"}]).encode())
    assert (response.status_code, response.json()) == (202, {"stored": 2})
    assert ledger.sums("shop") == {3: {"clicks": Sums(2, 3.0, 4.5)}}


def test_csv_and_lines_of_json_are_taken_too(ledger: FeedbackLedger) -> None:
    table = b"product,version,request_id,metric,value\nshop,3,a,clicks,1\nshop,3,b,clicks,2\n"
    assert push(ledger, table, kind="text/csv").json() == {"stored": 2}
    lines = json.dumps(GOOD | {"request_id": "c"}).encode() + b"\n"
    assert push(ledger, lines, kind="application/x-ndjson").json() == {"stored": 1}
    assert ledger.sums("shop")[3]["clicks"].count == 3


def test_one_mistake_keeps_all_of_the_request_out_and_every_mistake_is_told(ledger: FeedbackLedger) -> None:
    response = push(ledger, json.dumps([GOOD, GOOD | {"version": 0, "value": "x"}]).encode())
    assert response.status_code == 422
    assert {problem["at"] for problem in response.json()["problems"]} == {"[1].version", "[1].value"}
    assert ledger.sums("shop") == {}


def test_the_largest_request_is_taken_and_a_larger_one_is_not(ledger: FeedbackLedger) -> None:
    body = json.dumps(GOOD).encode()
    assert push(ledger, body.ljust(MAX_BODY_BYTES)).status_code == 202
    assert push(ledger, body.ljust(MAX_BODY_BYTES + 1)).status_code == 413


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(ledger: FeedbackLedger) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 10_000

    assert push(ledger, endless()).status_code == 413


def test_while_the_database_is_away_the_caller_is_told_to_come_back_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    response = push(None, json.dumps(GOOD).encode())
    assert (response.status_code, response.json()) == (503, {"error": "nothing was stored: send it again later"})
    assert "the database is away" in capsys.readouterr().out


def test_a_full_disk_is_507_and_the_next_request_is_taken_once_there_is_room(ledger: FeedbackLedger) -> None:
    with ledger._database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = json.dumps([GOOD | {"request_id": f"{number:0128}"} for number in range(1000)]).encode()
    assert push(ledger, many).status_code == 507
    ledger.close()  # a new connection knows no limit
    assert push(ledger, many).status_code == 202
    assert ledger.sums("shop")[3]["clicks"].count == 1000


def test_only_post_is_answered(ledger: FeedbackLedger) -> None:
    assert push(ledger, b"", method="GET").status_code == 405


def test_what_goes_wrong_with_one_products_log_is_said_once_and_keeps_no_other_waiting(
    ledger: FeedbackLedger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_key = {"key": "ann", "metric": "clicks", "value": 1, "at": "2026-03-01T12:00:00Z"}
    assert push(ledger, json.dumps([by_key | {"product": name} for name in ("a", "shop")]).encode()).status_code == 202

    def log_of(product: str) -> Log:
        if product == "a":
            raise OSError("the store of hunter2 is away")
        return Log(str(tmp_path / "log"), timedelta(seconds=1))

    parts = Parts(store_of(str(tmp_path / "log")), "shop", "3", "e")
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    tables = Tables(FLIGHTS)
    for day, block in tables.blocks([logged("a-1", key=b"ann", answered=-60.0)], noon.timestamp()):
        parts.write(day, tables.table([block]))
    settler = Settler(lambda: ledger, log_of, SystemClock())
    for _ in range(3):
        settler.look()
    assert ledger.latest("shop", "clicks", ["a-1"]) == {"a-1": 1.0}
    assert capsys.readouterr().out.splitlines() == ["feedback by key waits for a: OSError"]


HEAVY = {"prefect", "mlflow", "sklearn", "pandas", "numpy", "great_expectations", "skops", "pyarrow"}


def test_the_service_stays_light() -> None:
    program = f"import sys, flows.entrypoints.control; print(sorted({HEAVY} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == "[]"


@pytest.fixture
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="c-", dir="/tmp"))
    yield Settings(home=folder)
    shutil.rmtree(folder)


def started(settings: Settings) -> subprocess.Popen[bytes]:
    """The program, once it answers."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.entrypoints.control"],
        cwd=ROOT,
        env=os.environ | {"SEATRIAL_HOME": str(settings.home)},
    )
    for _ in range(600):
        with contextlib.closing(UnixConnection(control_socket(settings), 5)) as connection:
            try:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                return process
            except OSError:
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.05)
    process.kill()
    raise AssertionError("it does not answer")


def pushed(settings: Settings) -> int:
    """The HTTP code for good feedback."""
    with contextlib.closing(UnixConnection(control_socket(settings), 10)) as connection:
        connection.request("POST", "/seatrial/feedback", json.dumps(GOOD).encode())
        return connection.getresponse().status


def test_what_was_accepted_survives_kill_9_and_the_service_comes_back_to_the_same_socket(settings: Settings) -> None:
    first = started(settings)
    try:
        assert pushed(settings) == 202
    finally:
        first.kill()
        first.wait()
    with contextlib.closing(sqlite3.connect(settings.home / "journal-feedback.db")) as database:
        assert database.execute("SELECT product, version, value FROM feedback").fetchall() == [("shop", 3, 1.5)]
    second = started(settings)
    try:
        assert pushed(settings) == 202
    finally:
        second.terminate()
    assert second.wait(60) == 0
    assert not control_socket(settings).exists()


def test_with_a_port_it_listens_there_and_makes_no_socket(settings: Settings) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.entrypoints.control", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"SEATRIAL_HOME": str(settings.home)},
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8), trust_env=False) as client:
            answer = client.post(f"http://127.0.0.1:{port}/seatrial/feedback", json=GOOD)
        assert answer.status_code == 202
        assert not control_socket(settings).exists()
    finally:
        process.terminate()
    assert process.wait(60) == 0
