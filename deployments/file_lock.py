"""One at a time, across processes and threads: a lock that goes with its holder, whatever kills it, and names it."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Final

from deployments.clock import Clock
from deployments.process_identity import Owner, this_process

_PRIVATE: Final = 0o600
_POLL: Final = timedelta(milliseconds=20)
# A debugger may stop a holder for a moment; one that stays so is not waited for.
_STOPPED_FOR: Final = timedelta(seconds=3)
_LONGEST_COMMAND: Final = 80


class LockHeldError(Exception):
    """Somebody else keeps the lock; the text says who, and what can be done."""


@contextmanager
def exclusive_lock(path: Path, clock: Clock, timeout: timedelta | None) -> Iterator[None]:
    """Only one is inside the block; the file at `path` is made if need be, in a folder that is there.

    Raises `LockHeldError` when the lock is not free within `timeout` (None: it is waited for), and within seconds if
    the process that has it was stopped.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    try:
        _take(descriptor, path, clock, timeout)
        with suppress(OSError):  # a full disk: then nobody can be named
            os.pwrite(descriptor, str(this_process()).encode() + b"\n", 0)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, clock: Clock, timeout: timedelta | None) -> None:
    began, stopped_since = clock.monotonic(), None
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now, holder = clock.monotonic(), _holder(descriptor)
        stopped = holder is not None and holder.is_stopped()
        stopped_since = (now if stopped_since is None else stopped_since) if stopped else None
        if stopped_since is not None and now - stopped_since >= _STOPPED_FOR.total_seconds():
            raise LockHeldError(f"{path} is held by {_named(holder)}, which is stopped: {_what_to_do(holder)}")
        if timeout is not None and now - began >= timeout.total_seconds():
            raise LockHeldError(
                f"{path} has been held by {_named(holder)} for {timeout.total_seconds():g} s: "
                "see what that waits for, then try again"
            )
        clock.sleep(_POLL)


def _holder(descriptor: int) -> Owner | None:
    """Who has the lock, as it says itself; None if it did not."""
    with suppress(OSError, ValueError):
        return Owner.parse(os.pread(descriptor, 512, 0).partition(b"\n")[0].decode())
    return None


def _named(holder: Owner | None) -> str:
    if holder is None:
        return "another process"
    command = _command(holder.pid) if holder.is_here() else ""
    return f"process {holder.pid}{f' ({command})' if command else ''} on {holder.place}"


def _command(pid: int) -> str:
    """What the process was started as; arguments that may hold a password are left out."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return " ".join(word for word in words if word and "://" not in word and "=" not in word)[:_LONGEST_COMMAND]
    return ""


def _what_to_do(holder: Owner | None) -> str:
    pid = holder.pid if holder is not None else "…"
    return f"`kill -CONT {pid}` lets it go on, `kill -KILL {pid}` ends it, and what it was at is carried on without it"
