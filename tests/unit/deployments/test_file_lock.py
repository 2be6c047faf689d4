"""A lock whose holder stands still is not waited for: whoever wants it is told who that is, and what helps."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock, SystemClock
from deployments.errors import RouterUnreachable, SeatrialError, TargetUnreachable
from deployments.file_lock import LockHeldError, exclusive_lock
from deployments.routers.envoy.config_files import EnvoyFiles, sole_writer, sole_writer_of_routes
from deployments.supervision.locks import locked

HOLD = """
import sys
from datetime import timedelta
from pathlib import Path
from deployments.clock import SystemClock
from deployments.file_lock import exclusive_lock

with exclusive_lock(Path(sys.argv[1]), SystemClock(), None):
    print("held", flush=True)
    sys.stdin.read()
"""
LONG = timedelta(hours=1)


@contextmanager
def holder_of(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    yield


def envoys(path: Path) -> AbstractContextManager[None]:
    return sole_writer(EnvoyFiles(path.parent, path.parent), ManualClock(), LONG)


def routes(path: Path) -> AbstractContextManager[None]:
    return sole_writer_of_routes(EnvoyFiles(path.parent, path.parent), ManualClock(), LONG)


def programs(path: Path) -> AbstractContextManager[None]:
    return locked(path, ManualClock())


@pytest.mark.parametrize(
    ("name", "take", "error"),
    [
        ("lock", envoys, RouterUnreachable),
        ("routes.lock", routes, RouterUnreachable),
        ("supervisord.lock", programs, TargetUnreachable),
    ],
)
def test_a_holder_that_was_stopped_is_named_within_seconds(
    tmp_path: Path, name: str, take: Callable[[Path], AbstractContextManager[None]], error: type[SeatrialError]
) -> None:
    path = tmp_path / name
    with (
        holder_of(path) as process,
        stopped(process),
        pytest.raises(error, match=rf"held by process {process.pid} \(.*python.*\), which is stopped: `kill") as caught,
        take(path),
    ):
        pass
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("which", [0, 1])
def test_each_piece_of_its_advice_helps(tmp_path: Path, which: int) -> None:
    path, clock = tmp_path / "lock", ManualClock()
    with holder_of(path) as process:
        with stopped(process), pytest.raises(LockHeldError) as caught, exclusive_lock(path, clock, LONG):
            pass
        assert clock.monotonic() < 5
        advised = re.findall(r"`kill -(\w+) (\d+)`", str(caught.value))
        assert [number for _, number in advised] == [str(process.pid)] * 2
        process.send_signal(signal.Signals[f"SIG{advised[which][0]}"])
        process.communicate("")  # whoever goes on comes to its end, and so does whoever was killed
        with exclusive_lock(path, ManualClock(), timedelta(0)):
            pass


def test_one_that_runs_is_waited_for_and_named(tmp_path: Path) -> None:
    path, clock = tmp_path / "lock", ManualClock()
    with (
        holder_of(path) as process,
        pytest.raises(LockHeldError, match=rf"held by process {process.pid} \(.+\) on .+ for 5 s: see what"),
        exclusive_lock(path, clock, timedelta(seconds=5)),
    ):
        pass
    assert clock.monotonic() >= 5


def test_a_lock_without_a_name_is_waited_for(tmp_path: Path) -> None:
    path, second = tmp_path / "lock", timedelta(seconds=1)
    with holder_of(path):
        path.write_bytes(b"\xff")
        named_nobody = pytest.raises(LockHeldError, match="held by another process for 1 s")
        with named_nobody, exclusive_lock(path, ManualClock(), second):
            pass


def test_the_name_is_that_of_the_present_holder(tmp_path: Path) -> None:
    path, second = tmp_path / "lock", timedelta(seconds=1)
    path.write_text("2:" + "x" * 600)
    named_us = pytest.raises(LockHeldError, match=f"held by process {os.getpid()} ")
    with exclusive_lock(path, SystemClock(), None), named_us, exclusive_lock(path, ManualClock(), second):
        pass
