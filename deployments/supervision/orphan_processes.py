"""Processes that outlived the supervisord that had started them.

supervisord and all below it carry the mark of their run folder in the environment, so that they are found even when
everything that knew of them was killed.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psutil

from deployments.clock import Clock
from deployments.supervision.program import PROGRAM_VARIABLE, TAKES_OVER_VARIABLE

MARK_VARIABLE = "SEATRIAL_SUPERVISOR"
_DAEMON_MODULE = "supervisor.supervisord"
_POLL = timedelta(milliseconds=20)
_AFTER_KILL = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A marked process: of which program, and the socket that its successor will take over, if any."""

    process: psutil.Process
    program: str
    takes_over: Path | None


def daemons_of(run_folder: Path) -> list[psutil.Process]:
    """The supervisords of a run folder: none or one, unless something is very wrong."""
    daemons = {process.pid: process for process, environment in _marked(run_folder) if _is_daemon(process, environment)}
    # Between fork and exec, a program looks like the supervisord that is starting it.
    return [process for process in daemons.values() if _parent(process) not in daemons]


def leftovers_of(run_folder: Path, program: str | None = None) -> list[Leftover]:
    """Marked processes that no living supervisord keeps; of one program, or of all.

    Never this process or an ancestor of it: a flow that runs under supervisord may well be the one that asks.
    """
    kept = _own_line() | _below(daemons_of(run_folder))
    return [
        Leftover(
            process,
            environment[PROGRAM_VARIABLE],
            Path(socket) if (socket := environment.get(TAKES_OVER_VARIABLE)) else None,
        )
        for process, environment in _marked(run_folder)
        if process.pid not in kept
        and PROGRAM_VARIABLE in environment
        and program in {None, environment[PROGRAM_VARIABLE]}
    ]


def end(leftovers: Iterable[Leftover], grace: timedelta, clock: Clock) -> None:
    """SIGTERM to each process that no other of them started, SIGKILL after `grace` to all that are still there."""
    processes = [leftover.process for leftover in leftovers]
    pids = {process.pid for process in processes}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.ppid() not in pids:
                process.send_signal(signal.SIGTERM)
    kill_after(processes, grace, clock)


def kill_after(processes: Iterable[psutil.Process], grace: timedelta, clock: Clock) -> None:
    """Waits for processes to end; SIGKILL after `grace` to those that have not."""
    survivors = _outliving(processes, grace, clock)
    for process in survivors:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _outliving(survivors, _AFTER_KILL, clock)


def _outliving(processes: Iterable[psutil.Process], within: timedelta, clock: Clock) -> list[psutil.Process]:
    start, alive = clock.monotonic(), list(processes)
    while (alive := [process for process in alive if _is_alive(process)]) and (
        clock.monotonic() - start < within.total_seconds()
    ):
        clock.sleep(_POLL)
    return alive


def _is_alive(process: psutil.Process) -> bool:
    """False for a zombie too: who was to reap it may never do so."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _marked(run_folder: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    for process in psutil.process_iter():
        # Processes of others, and those that end while we look, are none of ours.
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            environment = process.environ()
            if environment.get(MARK_VARIABLE) == str(run_folder) and process.status() != psutil.STATUS_ZOMBIE:
                yield process, environment


def _is_daemon(process: psutil.Process, environment: dict[str, str]) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return PROGRAM_VARIABLE not in environment and _DAEMON_MODULE in process.cmdline()
    return False


def _parent(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.ppid()
    return None


def _below(roots: Iterable[psutil.Process]) -> set[int]:
    found: set[int] = set()
    for root in roots:
        with contextlib.suppress(psutil.NoSuchProcess):
            found |= {root.pid, *(child.pid for child in root.children(recursive=True))}
    return found


def _own_line() -> set[int]:
    this = psutil.Process(os.getpid())
    return {this.pid, *(ancestor.pid for ancestor in this.parents())}
