"""Model servers as forks of one process: each is the command that asked for it, and dies alone."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.account_isolation import private_folder
from deployments.supervision import UnixConnection
from tests.model_folder import write_model_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")
REPOSITORY = Path(__file__).resolve().parents[4]
# Once: some libraries add to it when they are imported.
_GIVEN = {name: each for name, each in os.environ.items() if not name.startswith(("SEATRIAL_", "PYTEST_"))}
# The program, with less patience.
_HASTY = """
import sys
from deployments.serving import forkserver_client as client
client._LISTENS_WITHIN = client._ACCEPTS_WITHIN = 0.2
client.run_forked()
from deployments.serving.main import run
run()
"""


class Fork:
    """A model server that was asked for; `own` differs in its environment."""

    def __init__(self, folder: Path, model: Path, *program: str, **own: str) -> None:
        self.socket = folder / f"{os.urandom(4).hex()}.sock"
        options = ["--model", str(model), "--product", "flights", "--version", "3", "--uds", str(self.socket)]
        self.asker = subprocess.Popen(
            [sys.executable, "-P", *(program or ("-m", "deployments.serving")), *options],
            cwd=REPOSITORY,
            env=environment(folder) | own,
            process_group=0,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self, event: str) -> dict[str, Any]:
        """The next line of that event. Fails if none comes."""
        assert self.asker.stdout is not None
        for line in self.asker.stdout:
            if (told := json.loads(line))["event"] == event:
                return dict(told)
        pytest.fail(f"it ended without {event}")

    def server(self) -> psutil.Process:
        """The process that answers, once it does."""
        pid = self.says("ready")["pid"]
        assert self.ready() == 200
        return psutil.Process(pid)

    def ready(self) -> int:
        with contextlib.closing(UnixConnection(self.socket, 20)) as connection:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status

    def end(self) -> int:
        """By a signal to the group, as supervisord sends it; the exit code."""
        os.killpg(self.asker.pid, signal.SIGTERM)
        return self.asker.wait(60)


def environment(folder: Path) -> dict[str, str]:
    return _GIVEN | {"SEATRIAL_SUPERVISOR": str(folder), "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def fork_server(folder: Path) -> Iterator[psutil.Popen]:
    command = [sys.executable, "-P", "-m", "deployments.serving.forkserver", str(folder)]
    with psutil.Popen(
        command, cwd=REPOSITORY, env=environment(folder), process_group=0, stdout=subprocess.PIPE, text=True
    ) as process:
        assert json.loads(process.stdout.readline())["event"] == "ready"
        yield process
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    place = private_folder(Path(tempfile.mkdtemp(prefix="fs-", dir="/tmp")), "")
    yield place
    shutil.rmtree(place)


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    return write_model_folder(folder / "v3")


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[psutil.Popen]:
    with fork_server(folder) as process:
        yield process


@pytest.fixture
def forks(folder: Path, model: Path) -> Iterator[Any]:
    made: list[Fork] = []

    def make(*program: str, **own: str) -> Fork:
        made.append(Fork(folder, model, *program, **own))
        return made[-1]

    yield make
    for each in made:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.asker.pid, signal.SIGKILL)
        each.asker.communicate()


def test_a_server_is_a_fork_that_ends_by_the_signal_to_its_program(running: psutil.Popen, forks: Any) -> None:
    fork = forks()
    server = fork.server()
    assert (server.ppid(), os.getpgid(server.pid)) == (running.pid, fork.asker.pid)
    assert psutil.Process(fork.asker.pid).memory_info().rss < 25e6, "what stands for it is small"
    assert fork.end() == 0
    assert not server.is_running()


def test_servers_share_the_memory_of_what_they_import(running: psutil.Popen, forks: Any) -> None:
    server = forks().server()
    assert server.memory_full_info().uss < 0.6 * server.memory_info().rss


def test_whoever_kills_the_program_kills_the_server_whatever_it_is_doing(running: psutil.Popen, forks: Any) -> None:
    fork = forks()
    server = fork.server()
    server.suspend()
    fork.asker.kill()
    wait_for(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)


def test_the_program_ends_as_the_server_did(running: psutil.Popen, forks: Any, folder: Path, tmp_path: Path) -> None:
    killed = forks()
    killed.server().kill()
    assert killed.asker.wait(60) == -signal.SIGKILL
    (tmp_path / "empty").mkdir()
    refused = Fork(folder, tmp_path / "empty")
    said, _ = refused.asker.communicate(timeout=60)
    assert refused.asker.returncode == 2
    assert json.loads(said.splitlines()[-1])["event"] == "refused to serve"


def test_a_product_whose_model_cannot_load_keeps_no_other_from_serving(
    running: psutil.Popen, forks: Any, folder: Path, tmp_path: Path
) -> None:
    broken = [Fork(folder, tmp_path) for _ in range(3)]
    assert forks().server().ppid() == running.pid
    for each in broken:
        each.asker.communicate(timeout=60)
        assert each.asker.returncode == 2


def test_servers_do_not_need_the_one_they_were_forked_from(folder: Path, model: Path) -> None:
    place = private_folder(folder / "other", "")
    with fork_server(place) as process:
        fork = Fork(place, model)
        server = fork.server()
        process.kill()
        process.wait()
        assert fork.ready() == 200
        alone = Fork(place, model, "-c", _HASTY)
        assert alone.server().pid == alone.asker.pid, "nobody listens any more"
        assert (alone.end(), alone.asker.communicate()[1]) == (0, None)
        assert fork.end() == 1, "nobody can say how it ended"
        fork.asker.communicate()
        wait_for(lambda: not server.is_running())


def test_without_a_fork_server_that_answers_a_server_starts_by_itself(running: psutil.Popen, forks: Any) -> None:
    running.suspend()
    try:
        fork = forks("-c", _HASTY)
        assert fork.server().pid == fork.asker.pid
        assert fork.end() == 0
    finally:
        running.resume()


def test_one_that_would_import_other_modules_starts_by_itself(running: psutil.Popen, forks: Any) -> None:
    fork = forks(PYTHONPATH=f"{REPOSITORY}:/elsewhere")
    assert fork.server().pid == fork.asker.pid
    assert fork.end() == 0


def test_outside_of_supervisord_nobody_is_asked(folder: Path, model: Path) -> None:
    fork = Fork(folder, model, SEATRIAL_SUPERVISOR="")
    assert fork.server().pid == fork.asker.pid
    assert fork.end() == 0
    fork.asker.communicate()


def test_after_a_change_of_files_it_ends_and_its_servers_stay(
    folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "deployments"
    shutil.copytree(REPOSITORY / "deployments", copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sys.modules[__name__], "REPOSITORY", tmp_path)
    place = private_folder(folder / "changed", "")
    with fork_server(place) as process:
        fork = Fork(place, model)
        assert fork.server().ppid() == process.pid
        (copy / "added.py").touch()
        later = Fork(place, model)
        assert later.server().pid == later.asker.pid
        assert process.wait(20) == 0
        assert fork.ready() == 200
        for each in (fork, later):
            each.end()
            each.asker.communicate()
