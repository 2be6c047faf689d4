"""A Prefect server for the time of one command outlasts signals to the command's group, and never the command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deployments.errors import PlatformUnreachable
from deployments.local_platform.await_ready import answers
from deployments.settings import Settings
from flows.entrypoints.runner.temporary_prefect import PrefectForOneCommand

# A command that is deaf to SIGTERM, so that a signal to its group shows what becomes of the server alone.
COMMAND = """
import signal, time
from deployments.settings import Settings
from flows.entrypoints.runner.temporary_prefect import PrefectForOneCommand
signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = PrefectForOneCommand(Settings())
server.wait()
print(server.api_url, server._process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def command(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"SEATRIAL_HOME": str(tmp_path / "home"), "PREFECT_HOME": str(tmp_path / "prefect")}
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        yield process
        process.kill()


def test_a_signal_to_the_whole_group_leaves_the_server_and_the_end_of_the_command_ends_it(
    command: subprocess.Popen[str],
) -> None:
    assert command.stdout is not None
    api_url, pid = command.stdout.readline().split()
    server = psutil.Process(int(pid))
    os.killpg(command.pid, signal.SIGTERM)
    time.sleep(1)
    assert answers(f"{api_url}/health", timeout=60)
    command.kill()
    server.wait(timeout=60)


def test_a_server_that_cannot_start_is_told_with_the_place_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/nowhere/at/all.db")
    server = PrefectForOneCommand(Settings(home=tmp_path / "home"))
    with pytest.raises(PlatformUnreachable, match="seatrial logs prefect-for-one-command"):
        server.wait()
    assert (tmp_path / "home" / "logs" / "prefect-for-one-command.log").read_text()
