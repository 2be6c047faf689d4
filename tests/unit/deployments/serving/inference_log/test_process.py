"""A real server under load: what it answered is in its log, whatever happens to it or to the disk."""

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deployments.inference_log_reader import answers_between
from deployments.supervision import UnixConnection
from tests.model_folder import write_model_folder

REPOSITORY = Path(__file__).resolve().parents[5]
FLUSH_SECONDS = 1.0
BODY = json.dumps({"dataframe_records": [{"distance": 1400.0, "hour": 5, "carrier": "UA"}] * 2}).encode()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("models") / "v3")


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="il-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def serving(model: Path, folder: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "deployments.serving", "--model", str(model), "--product", "flights"]
    log = ["--log-folder", str(folder / "log"), "--log-flush", str(FLUSH_SECONDS)]
    options = ["--version", "3", "--uds", str(folder / "s"), *log, *more]
    with (folder / "said").open("ab") as said:
        process = subprocess.Popen([*command, *options], cwd=REPOSITORY, stdout=said, stderr=said)
    try:
        while not (folder / "s").exists():
            assert process.poll() is None, (folder / "said").read_text()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()
        (folder / "s").unlink(missing_ok=True)


class Load:
    """Two callers that ask all the time; `answered` holds the ids of requests whose answer is there, in order."""

    def __init__(self, folder: Path) -> None:
        self.answered: list[str] = []
        self.codes: set[int] = set()
        self._folder = folder
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(name,)) for name in "ab"]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str) -> None:
        number = 0
        with contextlib.closing(UnixConnection(self._folder / "s", 60)) as connection:
            while not self._done.is_set():
                request_id = f"{name}-{number}"
                headers = {"content-type": "application/json", "x-request-id": request_id, "x-seatrial-key": name}
                try:
                    connection.request("POST", "/invocations", BODY, headers)
                    response = connection.getresponse()
                    response.read()
                except (OSError, http.client.HTTPException):
                    return
                self.codes.add(response.status)
                self.answered.append(request_id)
                number += 1


def rows(folder: Path) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    span = now - timedelta(hours=1), now + timedelta(minutes=1)
    found: list[dict[str, Any]] = answers_between(str(folder / "log"), "flights", 3, *span).to_pylist()
    return found


def number_of(request_id: str) -> int:
    """The how manieth of its caller."""
    return int(request_id.rpartition("-")[2])


def wait_until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.02)


def metric(folder: Path, name: str) -> float:
    with contextlib.closing(UnixConnection(folder / "s", 60)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    [line] = [line for line in text.splitlines() if line.startswith(f"seatrial_server_log_{name} ")]
    return float(line.split()[1])


def test_after_kill_9_every_part_is_whole_and_at_most_the_last_interval_is_missing(model: Path, folder: Path) -> None:
    def parts() -> list[Path]:
        return list((folder / "log").rglob("part-*.parquet"))

    with serving(model, folder) as process, Load(folder) as load:
        early, known = set[str](), set(load.answered)
        while len(parts()) < 2:
            early, known = known, set(load.answered)
            time.sleep(0.02)
        wait_until(lambda: len(parts()) >= 3)
        at_least = len(load.answered) + 10
        wait_until(lambda: len(load.answered) >= at_least)
        process.kill()
    assert sum(pq.ParquetFile(part).read().num_rows for part in parts()) == len(rows(folder))
    logged = {row["request_id"] for row in rows(folder)}
    assert len(logged - set(load.answered)) <= 2, "besides, only what was under way to the two callers"
    assert early <= logged, "what was answered before the second part began is in the third at the latest"
    for name in "ab":
        last = max(number_of(request_id) for request_id in logged if request_id.startswith(name))
        assert {f"{name}-{number}" for number in range(last)} <= logged, "nothing is missing but at the end"


def test_sigterm_writes_every_answer_down(model: Path, folder: Path) -> None:
    with serving(model, folder) as process, Load(folder) as load:
        wait_until(lambda: len(load.answered) > 10)
        process.terminate()
        assert process.wait(60) == 0
    found = rows(folder)
    assert set(load.answered) <= {row["request_id"] for row in found}
    assert {(row["product"], row["version"], row["key"] in {"a", "b"}) for row in found} == {("flights", 3, True)}
    assert len(found) == 2 * len({row["request_id"] for row in found})


@pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system, which only root may")
def test_a_full_disk_stops_no_answer_and_the_log_goes_on_once_there_is_room(model: Path, folder: Path) -> None:
    (folder / "log").mkdir()
    mount, umount = str(shutil.which("mount")), str(shutil.which("umount"))
    subprocess.run([mount, "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder / "log")], check=True)
    try:
        ballast = folder / "log" / "ballast"
        ballast.write_bytes(bytes(16 * 1024 * 1024))
        with serving(model, folder) as process, Load(folder) as load:
            wait_until(lambda: "cannot be written" in (folder / "said").read_text())
            during = len(load.answered)
            wait_until(lambda: len(load.answered) > during + 10)
            assert metric(folder, "rows_total") == 0
            ballast.unlink()
            wait_until(lambda: metric(folder, "rows_total") > 0)
            during = len(load.answered)
            wait_until(lambda: len(load.answered) > during)
            wait_until(lambda: "written again" in (folder / "said").read_text())
            assert process.poll() is None
        assert load.codes == {200}
        said = (folder / "said").read_text()
        assert (said.count("cannot be written"), said.count("written again")) == (1, 1)
        assert '"reason":"disk_full"' in said
    finally:
        subprocess.run([umount, "--lazy", str(folder / "log")], check=True)


def test_a_server_without_a_folder_keeps_no_log_and_imports_nothing_for_it() -> None:
    program = "import sys, deployments.serving.__main__; print({'pyarrow', 'fsspec'} & set(sys.modules))"
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert finished.stdout.strip() == "set()"
