"""A server's processes: started, told apart, their CPU and memory, and ended by their ids whatever became of them."""

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.processes import ROOT

_GOODBYE_SECONDS = 8.0


@dataclass(slots=True)
class Tree:
    """The process that was started and all that it started, also those whose parent has died since."""

    root: psutil.Process
    _known: dict[int, psutil.Process] = field(default_factory=dict)

    def processes(self) -> list[psutil.Process]:
        """Those that run now."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for found in (self.root, *self.root.children(recursive=True)):
                self._known.setdefault(found.pid, found)
        return [process for process in self._known.values() if process.is_running()]

    def end(self) -> None:
        """Asks the first to leave, then kills whatever of the tree is left."""
        before = self.processes()
        with contextlib.suppress(psutil.NoSuchProcess):
            self.root.terminate()
        psutil.wait_procs(before, timeout=_GOODBYE_SECONDS)
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(before, timeout=_GOODBYE_SECONDS)


@dataclass(frozen=True, slots=True)
class Memory:
    """Megabytes: what the processes have for themselves and their part of what is shared, and what they touch."""

    pss: float
    rss: float
    processes: int


@contextlib.contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Tree]:
    """`command` runs inside the block; Ctrl-C is for us, who then end it."""
    with log.open("wb") as output:
        made = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        tree = Tree(psutil.Process(made.pid))
        try:
            yield tree
        finally:
            tree.end()
            made.wait()


def wait_until(ready: Callable[[], bool], tree: Tree, log: Path, seconds: float) -> float:
    """Seconds that passed until `ready`. Raises `NotStarted` with the end of the log if that never comes."""
    began = time.monotonic()
    while not ready():
        if time.monotonic() - began > seconds or tree.root.status() == psutil.STATUS_ZOMBIE:
            raise NotStarted(log.read_text(errors="replace")[-1_500:])
        tree.processes()
        time.sleep(0.05)  # between two looks
    return time.monotonic() - began


class NotStarted(Exception):
    """A server that did not come up; the message is what it said last."""


def cpu_seconds(processes: Sequence[psutil.Process]) -> dict[psutil.Process, float]:
    """CPU time of each so far, user and system, with children that have ended."""
    spent = {}
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent[process] = times.user + times.system + times.children_user + times.children_system
    return spent


def memory_of(processes: Sequence[psutil.Process]) -> Memory:
    """What they hold now."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(process.memory_full_info())
    megabyte = 1024 * 1024
    return Memory(sum(each.pss for each in found) / megabyte, sum(each.rss for each in found) / megabyte, len(found))
