"""One at a time, across processes and threads: who starts and ends programs."""

import contextlib
import zlib
from collections.abc import Iterator
from pathlib import Path

from deployments.clock import Clock, SystemClock
from deployments.errors import TargetUnreachable
from deployments.file_lock import LockHeldError, exclusive_lock

# Names share this many lock files, so that their number does not grow with the versions.
_SLOTS = 16


@contextlib.contextmanager
def locked(path: Path, clock: Clock | None = None) -> Iterator[None]:
    """Holds the lock of `path`, which is made if need be; waits for whoever has it.

    Raises `TargetUnreachable` if that process was stopped.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(path, clock or SystemClock(), None))
        except LockHeldError as error:
            raise TargetUnreachable(str(error)) from None
        yield


def slot_of(folder: Path, name: str) -> Path:
    """The lock file that `name` shares with some others."""
    return folder / f"programs-{zlib.crc32(name.encode()) % _SLOTS}.lock"
