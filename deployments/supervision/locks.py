"""One at a time, across processes and threads; a lock dies with its holder."""

import contextlib
import fcntl
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

# Names share this many lock files, so that their number does not grow with the versions.
_SLOTS = 16


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock of `path`, which is made if need be; waits for whoever has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def slot_of(folder: Path, name: str) -> Path:
    """The lock file that `name` shares with some others."""
    return folder / f"programs-{zlib.crc32(name.encode()) % _SLOTS}.lock"
