"""Where a model comes from: code, packages, and the process that trained it."""

import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

# What is needed to load and ask a stored model.
SERVING_PACKAGES: Final = ("scikit-learn", "skops", "pandas", "numpy")
_TRAINING_PACKAGES: Final = (*SERVING_PACKAGES, "mlflow", "scipy", "pyarrow")
# The start of a process is derived from the boot time, which clock corrections move a little.
_SAME_START_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Commit:
    """The checked-out commit; `dirty` if tracked files differ from it."""

    id: str
    dirty: bool


def commit_of(folder: Path) -> Commit | None:
    """The commit that `folder` is checked out at; None outside a repository, or without git."""
    head = _git(folder, "rev-parse", "HEAD")
    if head is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return Commit(head, dirty=changed is None or changed != "")


def requirements(packages: Iterable[str] = SERVING_PACKAGES) -> list[str]:
    """`name==version` of each installed package, in the order given; absent ones are left out."""
    return [f"{name}=={found}" for name in packages if (found := _version(name))]


def versions() -> dict[str, str]:
    """Versions of Python and of what training uses, by name."""
    return {"python": platform.python_version()} | {
        name: found for name in _TRAINING_PACKAGES if (found := _version(name))
    }


def this_process() -> str:
    """A name for this process that no later one shares: host, pid and start time."""
    return f"{socket.gethostname()}|{os.getpid()}|{psutil.Process().create_time():.2f}"


def is_gone(owner: str) -> bool:
    """Whether the process that `this_process` named has ended. One on another host, or an unreadable name, has not."""
    try:
        host, pid, started = owner.split("|")
        if host != socket.gethostname():
            return False
        process = psutil.Process(int(pid))
        return (
            abs(process.create_time() - float(started)) > _SAME_START_SECONDS
            or process.status() == psutil.STATUS_ZOMBIE
        )
    except psutil.NoSuchProcess:
        return True
    except (ValueError, psutil.AccessDenied):
        return False


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    try:
        done = subprocess.run(
            [git, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=True
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()
