"""What the processes of a platform take while they are attacked: memory, open files, threads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_MIB = 1024 * 1024
_PACE_SECONDS = 0.2

# Name of a program to its process.
Processes = Callable[[], dict[str, psutil.Process]]


@dataclass
class Footprint:
    """Of one process, in MiB and numbers. Its forks are counted with it, before, at the peak and after: model servers
    are forks of the fork server."""

    name: str
    pid: int
    before: float
    files_before: int
    peak: float = 0.0
    after: float = 0.0
    files_peak: int = 0
    files_after: int = 0
    threads_peak: int = 0
    forks_peak: int = 0

    def row(self, bound: float) -> str:
        """Of a table; `bound` is what it may grow by."""
        files = f"{self.files_before} / {self.files_peak} / {self.files_after}"
        return (
            f"| {self.name} | {self.before:.0f} / {self.peak:.0f} / {self.after:.0f} | +{bound:.0f} | {files} | "
            f"{self.threads_peak} |"
        )


@dataclass
class Watch:
    """Looks five times a second at each process."""

    processes: Processes
    found: dict[str, Footprint] = field(default_factory=dict)
    restarted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run)
        for name, process in self.processes().items():
            with suppress(psutil.Error):
                _forget_peak(process.pid)
                self.found[name] = Footprint(
                    name, process.pid, _taken(process, _forks(name, process)), process.num_fds()
                )

    @contextmanager
    def looking(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._done.set()
            self._thread.join()

    def settle(self) -> None:
        """What is left afterwards, and who is another process now."""
        processes = self.processes()
        for name, footprint in self.found.items():
            process = processes.get(name)
            if process is None or process.pid != footprint.pid:
                self.restarted.append(name)
                continue
            with suppress(psutil.Error):
                footprint.after, footprint.files_after = _taken(process, _forks(name, process)), process.num_fds()
                footprint.peak = max(footprint.peak, _highest(process.pid))

    def _run(self) -> None:
        known = {name: psutil.Process(each.pid) for name, each in self.found.items()}
        while not self._done.wait(_PACE_SECONDS):
            for name, process in known.items():
                with suppress(psutil.Error):
                    self._note(self.found[name], process)

    def _note(self, footprint: Footprint, process: psutil.Process) -> None:
        forks = _forks(footprint.name, process)
        footprint.peak = max(footprint.peak, _taken(process, forks))
        footprint.files_peak = max(footprint.files_peak, process.num_fds())
        footprint.threads_peak = max(footprint.threads_peak, process.num_threads())
        footprint.forks_peak = max(footprint.forks_peak, len(forks))


def _forks(name: str, process: psutil.Process) -> list[psutil.Process]:
    """Children that no other name is watched by."""
    return [] if name == "supervisord" else process.children()


def _taken(process: psutil.Process, forks: list[psutil.Process]) -> float:
    return _mib(process) + sum(_own_mib(fork) for fork in forks[:200])


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / _MIB)


def _own_mib(process: psutil.Process) -> float:
    """What a fork does not share with its parent."""
    with suppress(psutil.Error):
        return float(process.memory_full_info().uss / _MIB)
    return 0.0


def _forget_peak(pid: int) -> None:
    """The kernel keeps the peak since the start of a process, or since this."""
    with suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _highest(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0
