"""Which process holds something, and whether it is still there: how a crash is told from slow work.

Nothing here asks a wall clock. A process is named by where its number means something (the boot of a machine, and a
PID namespace in it) and by its start in ticks since that boot, which no clock correction and no sleep moves.
"""

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

import psutil

PROC: Final = Path("/proc")
_MACHINE_IDS: Final = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_FORM: Final = "2"
# The PID namespace that the kernel itself begins with has this inode on every Linux (PROC_PID_INIT_INO).
_OF_THE_KERNEL: Final = str(0xEFFFFFFC)
_DEAD: Final = frozenset("ZXx")
_STOPPED: Final = frozenset("Tt")
# What follows the name of the program in /proc/<pid>/stat: its state first, the start in ticks 19 further on.
_STATE, _START = 0, 19


@dataclass(frozen=True, slots=True)
class Owner:
    """A process of a host. `started`, in clock ticks since the boot, tells it from a later one with the same number.

    `machine`, `boot` and `namespace` (of process numbers) are empty where nobody could say; then nothing is known of
    the process from anywhere. Containers of one image may share the machine's id, and two hosts their name.
    """

    host: str
    pid: int
    started: float
    machine: str = ""
    boot: str = ""
    namespace: str = ""

    @classmethod
    def parse(cls, text: str) -> "Owner":
        """The owner that `str(owner)` described, also in the form of older journals, which say no more than a host.

        Raises ValueError for other text.
        """
        form, *parts = text.split(":", 6)
        if form == _FORM and len(parts) == 6:
            machine, boot, namespace, pid, started, host = parts
            return cls(host, int(pid), int(started), machine, boot, namespace)
        host, pid, started = text.rsplit(":", 2)
        return cls(host, int(pid), float(started))

    def __str__(self) -> str:
        if not self.boot:
            return f"{self.host}:{self.pid}:{self.started:.2f}"
        return ":".join(
            (_FORM, self.machine, self.boot, self.namespace, str(self.pid), f"{self.started:.0f}", self.host)
        )

    @property
    def place(self) -> str:
        """Where the process runs, for people: the host, and what tells it from another of that name."""
        if not self.boot:
            return self.host
        inner = "" if self.namespace == _OF_THE_KERNEL else f", PID namespace {self.namespace}"
        return f"{self.host} (machine {self.machine[:8] or 'unknown'}{inner})"

    def lives(self, proc: Path = PROC) -> bool | None:
        """Whether the process is there, as this process can see it; None where it cannot.

        It can where process numbers mean the same to both: on one boot of one machine, in one PID namespace. A former
        boot has no processes left; that it was one of this machine, and not another container of the same image, is
        sure only outside containers.
        """
        here = _here(proc)
        if not self.boot or not here.boot or self.machine != here.machine:
            return None
        if self.boot != here.boot:
            outside = self.namespace == here.namespace == _OF_THE_KERNEL
            return False if outside and self.machine and self.host == here.host else None
        if self.namespace != here.namespace or not here.numbers_are_ours:
            return None
        return _runs(self.pid, self.started, proc)

    def keeps(self, until: datetime, now: datetime) -> bool:
        """Whether what the process was given `until` then is still its own.

        Of one that lives it is, whatever the clock says: a laptop slept, or somebody set the time. Of one that is gone
        it is not. One of which nothing can be known keeps it for its time.
        """
        living = self.lives()
        return now < until if living is None else living

    def is_gone(self, proc: Path = PROC) -> bool:
        """True only when the process is known to have ended."""
        return self.lives(proc) is False

    def is_stopped(self, proc: Path = PROC) -> bool:
        """True only when the process is known to run and to have been stopped, by a signal or a debugger."""
        found = _stat(proc / str(self.pid) / "stat") if self.lives(proc) else None
        return found is not None and found[0] in _STOPPED

    def is_here(self, proc: Path = PROC) -> bool:
        """True only when the process is known to run, where this process could send it a signal."""
        return self.lives(proc) is True


def this_process(proc: Path = PROC) -> Owner:
    """The owner to sign with."""
    here = _here(proc)
    return Owner(here.host, os.getpid(), here.started, here.machine, here.boot, here.namespace)


@dataclass(frozen=True, slots=True)
class _Here:
    """What this process knows of itself; empty texts where there is no /proc."""

    host: str
    machine: str
    boot: str
    namespace: str
    started: float
    numbers_are_ours: bool


@lru_cache(maxsize=4)
def _here(proc: Path) -> _Here:
    own = _stat(proc / "self" / "stat")
    boot, namespace = _text(proc / "sys/kernel/random/boot_id"), _namespace(proc)
    if own is None or not boot or not namespace:
        # Only told apart from others of its number, as in older journals.
        return _Here(socket.gethostname(), "", "", "", round(psutil.Process().create_time(), 2), False)
    return _Here(
        host=socket.gethostname(),
        machine=next(filter(None, map(_text, _MACHINE_IDS)), ""),
        boot=boot,
        namespace=namespace,
        started=own[1],
        # A /proc that was mounted for another PID namespace numbers its processes otherwise.
        numbers_are_ours=_link(proc / "self") == str(os.getpid()),
    )


# A fork is another process, and may be in another namespace with the same number as its parent.
os.register_at_fork(after_in_child=_here.cache_clear)


def _runs(pid: int, started: float, proc: Path) -> bool | None:
    found = _stat(proc / str(pid) / "stat")
    if found is None:
        return None if _is_hidden(pid) else False
    state, since = found
    return since == started and state not in _DEAD


def _is_hidden(pid: int) -> bool:
    """Whether there is such a process although /proc does not show it (mounted with hidepid, say)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _stat(path: Path) -> tuple[str, int] | None:
    """State and start of a process; None for none. The name, in brackets, may hold anything, brackets too."""
    try:
        fields = path.read_text(errors="replace").rpartition(")")[2].split()
        return fields[_STATE], int(fields[_START])
    except (OSError, ValueError, IndexError):
        return None


def _namespace(proc: Path) -> str:
    """The inode in `pid:[4026531836]`."""
    return _link(proc / "self" / "ns" / "pid").partition("[")[2].rstrip("]")


def _link(path: Path) -> str:
    with suppress(OSError):
        return str(path.readlink())
    return ""


def _text(path: Path) -> str:
    with suppress(OSError, UnicodeDecodeError):
        text = path.read_text().strip()
        return text if text.isalnum() or text.replace("-", "").isalnum() else ""
    return ""
