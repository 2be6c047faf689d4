"""Which process holds something, and whether it is still there: how a crash is told from slow work on one machine."""

import os
import socket
from dataclasses import dataclass
from functools import lru_cache

import psutil

# The start of a process is derived from the boot time, which clock corrections move a little.
_SAME_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """A process of a host. `started` (seconds since 1970) tells it from a later one with the same number."""

    host: str
    pid: int
    started: float

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """The owner that `str(owner)` described. Raises ValueError for other text."""
        host, pid, started = text.rsplit(":", 2)
        return cls(host, int(pid), float(started))

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started:.2f}"

    def is_gone(self) -> bool:
        """True only when the process is known to have ended; of one on another host nothing is known: False."""
        if self.host != socket.gethostname():
            return False
        try:
            process = psutil.Process(self.pid)
            reborn = abs(process.create_time() - self.started) > _SAME_START_SECONDS
            return reborn or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True
        except psutil.AccessDenied:
            return False


@lru_cache(maxsize=1)
def _born(pid: int) -> float:
    return psutil.Process(pid).create_time()


def this_process() -> Owner:
    """The owner to sign with."""
    pid = os.getpid()
    return Owner(socket.gethostname(), pid, _born(pid))
