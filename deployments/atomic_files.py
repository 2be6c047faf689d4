"""Files that are either the old one or the new one, never half of each, whatever kills the process.

What must be written even on a full disk goes into room that was set aside while there was some: files that have their
blocks already. Room that is only freed at that moment would be somebody else's before it is used.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deployments.errors import DiskFull

_SPARE = ".set-aside-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def disk_full_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's "no space" errors of the block into `DiskFull` that names `path`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise DiskFull(
                f"no space left while writing {path}: free some room and run the same command again"
            ) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that there is no room."""
    return isinstance(error, DiskFull) or (isinstance(error, OSError) and error.errno in _FULL)


def reserve_files(folder: Path, count: int, size: int) -> None:
    """Sees to `count` files of `size` bytes each in `folder`, for `write_reserved`; as many as there is room for."""
    present = _set_aside(folder)
    for path in present:
        with suppress(OSError):
            if path.stat().st_size < size:
                path.unlink()
    for number in range(count):
        path = folder / f"{_SPARE}{number}"
        if path.exists():
            continue
        try:
            _allocate(path, size)
        except OSError:
            path.unlink(missing_ok=True)
            return


def write_reserved(path: Path, content: bytes, room: Path, mode: int = 0o600) -> None:
    """`write_atomically`, where need be into one of the files that were set aside in the folder `room`.

    Raises `DiskFull` when all of them are used up.
    """
    try:
        write_atomically(path, content, mode)
    except DiskFull:
        if not any(_written_into(spare, path, content, mode) for spare in _set_aside(room)):
            raise


def _written_into(spare: Path, path: Path, content: bytes, mode: int) -> bool:
    try:
        with spare.open("r+b") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            file.truncate(len(content))
        spare.chmod(mode)
        spare.replace(path)
        _sync_folder(path.parent)
    except OSError:
        return False
    return True


def _set_aside(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{_SPARE}*"))


def _allocate(path: Path, size: int) -> None:
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:  # macOS gives a file its blocks when it is written
            file.write(bytes(size))


def write_atomically(path: Path, content: bytes | memoryview, mode: int = 0o600, by_way_of: Path | None = None) -> None:
    """Replaces `path` by `content` in one step that survives a crash: temporary file, fsync, rename.

    `by_way_of` is a folder of the same disk for the temporary file, whose name then begins with that of `path`; None:
    beside `path`. Raises `DiskFull`; the former content is then untouched.
    """
    with disk_full_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}." if by_way_of is None else f"{path.name}."
        with _complete(content, mode, by_way_of or path.parent, prefix) as temporary:
            temporary.replace(path)
        _sync_folder(path.parent)


def write_once(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Keeps `content` at `path`, in a folder that is there, unless something is: of several at once the first stays."""
    with _complete(content, mode, path.parent, f".{path.name}.") as temporary, suppress(FileExistsError):
        os.link(temporary, path)


@contextlib.contextmanager
def _complete(content: bytes | memoryview, mode: int, folder: Path, prefix: str) -> Iterator[Path]:
    """A file with all of `content`, on the disk; gone after the block, unless it has another name by then."""
    handle, name = tempfile.mkstemp(dir=folder, prefix=prefix)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
