"""What belongs to one account: folders that nobody else reads, and callers who are the same account.

Names are looked at without following links: whoever may put a link into a folder of everybody's, such as /tmp, could
lead it elsewhere between two looks.
"""

import contextlib
import errno
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.errors import BadInput

FOLDER_MODE: Final = 0o700
UMASK: Final = 0o077
_OTHERS: Final = 0o077
_EVERYBODYS_GROUP: Final = 100  # `users`: where it is the group of all accounts, it is nobody's own
_CHANGE: Final = 0o022
_CODE: Final = (".py", ".yaml", ".yml")
_NOT_OURS: Final = {"node_modules", "site-packages", "__pycache__"}
_LINGERING: Final = Path("/var/lib/systemd/linger")
_UNTIL_LOGOUT: Final = Path("/run/user")
_NEEDED_BY_ALL: Final = tuple(
    map(Path, ("/dev/shm", "/etc", "/run/user", "/tmp", "/usr/bin", "/usr/lib", "/var/lib", "/var/tmp"))  # noqa: S108
)
# A descriptor of a file that is not opened; a pipe must not keep us waiting where there is none such (macOS).
_LOOKING: Final = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)


@dataclass(frozen=True)
class Exposed:
    """A file or folder that somebody else may read or change, and what is wrong with it."""

    path: Path
    reason: str
    bits: int = _OTHERS
    """Of its mode, what is too much."""


def restrict_new_files() -> None:
    """What this process and its children write from now on is for their own account alone."""
    os.umask(UMASK)


def private_folder(folder: Path, advice: str) -> Path:
    """Makes `folder`, or makes it private if it was there before; returns it.

    Raises `BadInput`, which ends in `advice`, for one that is somebody else's, a link or no folder, or cannot be made.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise BadInput(f"{folder} cannot be made ({error.strerror}): {advice}") from None
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(f"{folder} is a link, and must be a folder: {advice}")
    if found.st_uid != os.getuid():
        raise BadInput(f"{folder} belongs to {_name(found.st_uid)}, not to {_name(os.getuid())}: {advice}")
    if stat.S_IMODE(found.st_mode) & _OTHERS:
        folder.chmod(FOLDER_MODE)
    return folder


def is_private(folder: Path) -> bool:
    """Whether it is a folder, not a link to one, of this account and open to nobody else."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & _OTHERS


def lasting_runtime_folder() -> Path | None:
    """`$XDG_RUNTIME_DIR` (XDG base directory specification) if it is private and stays when its owner logs out.

    systemd removes its own when the last session ends, sockets in use included, unless the account lingers
    (`loginctl enable-linger`): a platform that serves users must outlive the terminal that started it.
    """
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    folder = Path(given)
    if not folder.is_absolute() or not is_private(folder):
        return None
    goes_at_logout = _UNTIL_LOGOUT in folder.parents and not (_LINGERING / _name(os.getuid())).exists()
    return None if goes_at_logout else folder


def is_same_account(connection: socket.socket) -> bool:
    """Whether the process at the other end of a Unix socket runs as this account: as the kernel says, SO_PEERCRED.

    True where the kernel cannot be asked in this way (macOS): there the folder's mode is all the protection.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    layout = "3i"  # struct ucred: pid, uid, gid
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(layout))
    account: int = struct.unpack(layout, credentials)[1]
    return account == os.getuid()


def exposed_files(folder: Path) -> Iterator[Exposed]:
    """All in `folder`, and it itself, that others may read or change; links are not followed.

    Where nobody else may enter the folder, what is in it is reached by nobody: it is told all the same, for it may be
    copied, or the folder opened again.
    """
    if folder.is_symlink() or not folder.exists():
        return
    yield from _exposed(folder)
    for place, folders, files in os.walk(folder):
        for name in sorted([*folders, *files]):
            yield from _exposed(Path(place, name))


def changeable_code(folder: Path, leave_out: Path) -> Iterator[Exposed]:
    """Python files and specs in `folder`, and the folders that hold them, which somebody else may change.

    What they say is run as this account. Hidden folders, installed packages and `leave_out` are not looked at.
    """
    for place, folders, files in os.walk(folder):
        folders[:] = [
            name for name in folders if name[0] != "." and name not in _NOT_OURS and Path(place, name) != leave_out
        ]
        code = [Path(place, name) for name in sorted(files) if name.endswith(_CODE)]
        if code or Path(place) == folder:
            for path in (Path(place), *code):
                yield from _changeable(path)


def close_to_others(found: Exposed) -> None:
    """Takes from others what they may do there; nothing changes for the owner.

    Raises `PermissionError` for what is somebody else's, also for root: whoever owns it may open it again.
    """
    # By what was looked at and not by its name: others may have put a link there meanwhile.
    descriptor = os.open(found.path, _LOOKING | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        there = os.fstat(descriptor)
        if there.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(found.path))
        if not stat.S_ISLNK(there.st_mode):
            mode = stat.S_IMODE(there.st_mode) & ~found.bits
            (Path("/proc/self/fd") / str(descriptor)).chmod(mode) if hasattr(os, "O_PATH") else os.fchmod(
                descriptor, mode
            )
    finally:
        os.close(descriptor)


def is_shared_folder(folder: Path) -> bool:
    """Whether others need a folder, so that it cannot be closed to them: `/`, `/home`, `/tmp`, `/var` and the like."""
    place = folder.resolve()
    home = Path(pwd.getpwuid(os.getuid()).pw_dir) if _is_known(os.getuid()) else Path("/")
    return place in home.parents or any(place == each or place in each.parents for each in _NEEDED_BY_ALL)


def changeable_by_others(folder: Path) -> Path | None:
    """The nearest folder above in which everybody may put another one in its place; None if there is none."""
    for parent in folder.resolve().parents:
        mode = parent.stat().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return parent
    return None


def _exposed(path: Path) -> Iterator[Exposed]:
    with contextlib.suppress(FileNotFoundError):  # gone meanwhile
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):  # what it leads to is another's business
            return
        if found.st_uid != os.getuid():
            yield Exposed(path, f"belongs to {_name(found.st_uid)}")
        elif stat.S_IMODE(found.st_mode) & _OTHERS:
            yield Exposed(path, f"others may reach it (mode {stat.S_IMODE(found.st_mode):04o})")


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:  # a container that runs as any number
        return False
    return True


def _changeable(path: Path) -> Iterator[Exposed]:
    with contextlib.suppress(OSError):  # gone meanwhile, or a link to nowhere
        found = path.stat()
        if found.st_uid not in (os.getuid(), 0):
            yield Exposed(path, f"belongs to {_name(found.st_uid)}, and is run as {_name(os.getuid())}", _CHANGE)
        elif found.st_mode & stat.S_IWOTH or (found.st_mode & stat.S_IWGRP and not _is_own_group(path, found.st_gid)):
            mode = f"{stat.S_IMODE(found.st_mode):04o}"
            yield Exposed(path, f"others may change it (mode {mode}), and it is run as {_name(os.getuid())}", _CHANGE)


def _is_own_group(path: Path, group: int) -> bool:
    """Whether a file's group bits are for this account alone: many systems give each account a group of its own.

    Where a list names further accounts (POSIX ACL), the group's bits are what any of them may at most.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.getxattr(path, "system.posix_acl_access")
        return False
    return group == os.getgid() and group != _EVERYBODYS_GROUP


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"account {uid}"
