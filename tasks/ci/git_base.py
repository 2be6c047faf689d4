"""What changed since a commit, by git. Nothing is written: no index, no work tree, no hook and no filter is run."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deployments.errors import BadInput

_SECONDS: Final = 60
# What a repository's own configuration might have git run while it looks.
_PLAIN: Final = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


@dataclass(frozen=True, slots=True)
class Base:
    """A commit, and the files below `top` that differ from it now, absolute; those that git ignores are left out.

    `note` says what was not as usual, empty for nothing.
    """

    commit: str
    top: Path
    changed: frozenset[Path]
    note: str = ""

    def content(self, path: Path) -> bytes | None:
        """A file (absolute) as it was then; None: there was none, or it lies outside the repository."""
        if not path.is_relative_to(self.top):
            return None
        return _asked(self.top, "cat-file", "blob", f"{self.commit}:{path.relative_to(self.top)}")

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The files right in a folder (absolute) as it was then, in alphabetical order."""
        if not folder.is_relative_to(self.top):
            return ()
        place = f"{folder.relative_to(self.top)}/" if folder != self.top else ""
        found = _asked(self.top, "ls-tree", "-z", "--name-only", self.commit, *([place] if place else []))
        return tuple(sorted(self.top / name for name in _names(found)))


def base_of(folder: Path, ref: str) -> Base:
    """Where `folder` went its own way from `ref`, such as `origin/main`, and what changed since.

    In a clone without that much history it is `ref` itself. Raises `BadInput` for what git does not know.
    """
    top = _asked(folder, "rev-parse", "--show-toplevel")
    if top is None:
        raise BadInput(f"{folder} is no git repository, so nothing can be compared with {ref!r}: leave --base out")
    root = Path(os.fsdecode(top.strip()))
    wanted = _asked(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if wanted is None:
        raise BadInput(f"git knows no commit {ref!r} here: fetch it before, or give another one as --base")
    tip = wanted.decode().strip()
    found = _asked(root, "merge-base", tip, "HEAD")
    commit = tip if found is None else found.decode().strip()
    tracked = _asked(root, "diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", commit, "--")
    fresh = _asked(root, "ls-files", "--others", "--exclude-standard", "-z")
    if tracked is None:
        raise BadInput(f"git cannot tell what changed since {commit[:12]}: not all of its files are here")
    note = "" if found else f"this clone does not have where the branches parted: compared with {ref} itself"
    return Base(commit, root, frozenset(root / name for name in (*_names(tracked), *_names(fresh))), note)


def _names(listed: bytes | None) -> list[str]:
    return [os.fsdecode(name) for name in (listed or b"").split(b"\0") if name]


def _asked(folder: Path, *arguments: str) -> bytes | None:
    """What git says; None where it ends with an error. Raises `BadInput` where there is no git."""
    git = shutil.which("git")
    if git is None:
        raise BadInput("there is no git here: install it, or leave --base out")
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    done = subprocess.run(
        [git, "-C", str(folder), *_PLAIN, *arguments],
        capture_output=True,
        env=environment,
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None
