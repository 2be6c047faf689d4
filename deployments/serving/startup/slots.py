"""Turns for what is expensive in the start of a server: as many at once as there are cores.

After a start of the machine all servers of all products begin together. Each needs seconds of a core until it answers,
and dozens at once need minutes in which nobody answers; one after the other, users of most are served much sooner.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from deployments.clock import Clock

_POLL: Final = timedelta(milliseconds=50)
_PRIVATE: Final = 0o600


@contextlib.contextmanager
def start_slot(folder: Path, clock: Clock, slots: int, within: timedelta) -> Iterator[bool]:
    """One of `slots` turns that all who name `folder` share; whether it was had.

    It is waited for until none has changed hands for so long: a server that hangs while it starts keeps no other from
    starting, a slow machine is no reason to start all at once. A turn ends with the block, and with the process.
    """
    with contextlib.ExitStack() as stack:
        yield _taken(folder, clock, slots, within, stack)


def _taken(folder: Path, clock: Clock, slots: int, within: timedelta, stack: contextlib.ExitStack) -> bool:
    try:
        files = [_opened(folder / f"start-{number}.lock", stack) for number in range(slots)]
    except OSError:  # a full disk, a folder that cannot be written: no reason not to serve
        return False
    began, seen = clock.monotonic(), _changed(files)
    while True:
        if any(_is_free(each) for each in files):
            return True
        if (now := _changed(files)) != seen:
            began, seen = clock.monotonic(), now
        if clock.monotonic() - began >= within.total_seconds():
            return False
        clock.sleep(_POLL)


def _opened(path: Path, stack: contextlib.ExitStack) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE)
    stack.callback(os.close, descriptor)
    return descriptor


def _is_free(descriptor: int) -> bool:
    """Whether the lock is had now; then it is kept until the descriptor is closed."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.utime(descriptor)
    except OSError:
        return False
    return True


def _changed(files: list[int]) -> list[int]:
    """When each turn was taken for the last time."""
    return [os.fstat(each).st_mtime_ns for each in files]
