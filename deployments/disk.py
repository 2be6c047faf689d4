"""Files that are either the old one or the new one, never half of each, whatever kills the process."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deployments.errors import DiskFull

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def saying_when_full(path: Path) -> Iterator[None]:
    """Turns the operating system's "no space" errors of the block into `DiskFull` that names `path`."""
    try:
        yield
    except OSError as error:
        if says_full(error):
            raise DiskFull(
                f"no space left while writing {path}: free some room and run the same command again"
            ) from error
        raise


def says_full(error: BaseException) -> bool:
    """Whether an error means that there is no room."""
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _FULL)


def write_atomically(path: Path, content: bytes | memoryview, mode: int = 0o644, by_way_of: Path | None = None) -> None:
    """Replaces `path` by `content` in one step that survives a crash: temporary file, fsync, rename.

    `by_way_of` is a folder of the same disk for the temporary file, whose name then begins with that of `path`; None:
    beside `path`. Raises `DiskFull`; the former content is then untouched.
    """
    with saying_when_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}." if by_way_of is None else f"{path.name}."
        handle, name = tempfile.mkstemp(dir=by_way_of or path.parent, prefix=prefix)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(mode)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
