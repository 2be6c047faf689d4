"""Where a model comes from: code and packages."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

# What is needed to load and ask a stored model.
SERVING_PACKAGES: Final = ("scikit-learn", "skops", "pandas", "numpy")
_TRAINING_PACKAGES: Final = (*SERVING_PACKAGES, "mlflow", "scipy", "pyarrow")


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
            [git, "-C", str(folder), *arguments],
            env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"},  # whoever looks writes no index
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return done.stdout.strip()
