"""The model folder: exactly the files that were stored, each with its SHA-256.

<folder>/model/MLmodel, model/model.skops, …
<folder>/verification.json     requests of held-out rows, and what a server must answer
<folder>/manifest.json         relative path → SHA-256 of every other file
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployments.atomic_files import disk_full_errors, write_atomically
from deployments.errors import BadArtifact
from deployments.model_manifest import MANIFEST, check_intact, files_in

MODEL: Final = "model"
MODEL_FILE: Final = f"{MODEL}/model.skops"
VERIFICATION: Final = "verification.json"


def keep_model_folder(folder: Path, manifest: Mapping[str, str], fill: Callable[[Path], None]) -> Path:
    """`folder` with exactly the files of `manifest`; used as it is if intact, else made anew by `fill`.

    `fill` puts the files into the empty folder it is given. The result appears in one rename, so that a reader sees a
    whole model folder or none. Raises `BadArtifact` and `DiskFull`; `folder` then keeps what it had.
    """
    if _is_kept(folder, manifest):
        return folder
    with disk_full_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            fresh = scratch / "fresh"
            fresh.mkdir()
            fill(fresh)
            check_intact(fresh, manifest)
            write_atomically(fresh / MANIFEST, json.dumps(dict(manifest), indent=2, sort_keys=True).encode())
            if not _is_kept(folder, manifest):  # somebody else may have been faster
                _put_in_place(fresh, folder, scratch / "former")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def size_mb(folder: Path) -> float:
    """Real size of all files below `folder`, in units of 10^6 bytes."""
    return size_of(folder) / 1e6


def size_of(folder: Path) -> int:
    """The same in bytes; the manifest is not counted."""
    return sum(path.stat().st_size for path in files_in(folder).values())


def _is_kept(folder: Path, manifest: Mapping[str, str]) -> bool:
    try:
        check_intact(folder, manifest)
        return bool(json.loads((folder / MANIFEST).read_bytes()) == dict(manifest))
    except (BadArtifact, OSError, ValueError):
        return False


def _put_in_place(fresh: Path, folder: Path, former: Path) -> None:
    if folder.exists():
        folder.replace(former)
    fresh.replace(folder)
