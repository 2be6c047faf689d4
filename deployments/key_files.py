"""Secrets that a platform draws for itself: each in a file of its own that nobody else may read.

Prefect's password, the key that manifests are signed with, the key of request ids. They are drawn when first asked for
and stay what they are; processes of the platform read them from the file, so that none stands on a command line. In a
cluster the folder is a mounted Secret, and nothing is drawn.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from deployments.atomic_files import disk_full_errors, write_once
from deployments.errors import BadInput, NotFound


def drawn_text() -> bytes:
    """256 random bits as text that suits a header, a URL and a shell."""
    return secrets.token_urlsafe(32).encode()


def key(folder: Path, name: str, draw: Callable[[], bytes] = drawn_text) -> bytes:
    """What the file `name` in `folder` holds; drawn and kept there first if there is none.

    Of several processes that draw at one moment all get what the first of them kept. Raises `BadInput` for a file that
    others may read or write or that is empty, and `DiskFull`.
    """
    path = folder / name
    with disk_full_errors(path):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                write_once(path, draw())
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise
            raise BadInput(
                f"{path} cannot be made ({error.strerror}): a folder that is only read must have it"
            ) from None
    return known_key(folder, name)


def known_key(folder: Path, name: str) -> bytes:
    """What the file `name` in `folder` holds. Raises `NotFound` if there is none, and `BadInput` as `key` does."""
    path = folder / name
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotFound(f"there is no key {path}: `seatrial up` draws the keys of a platform") from None
    except OSError as error:
        raise BadInput(f"the key {path} cannot be read ({error.strerror})") from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_uid not in (os.getuid(), 0) or stat.S_IMODE(found.st_mode) & 0o007:
            raise BadInput(f"others may read the key {path}: remove it, and a new one is drawn, or `chmod 600` it")
        content = file.read().strip()
    if not content:
        raise BadInput(f"the key {path} is empty: remove it, and a new one is drawn")
    return content
