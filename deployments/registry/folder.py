"""The model folder: exactly the files that were stored, each with its SHA-256.

<folder>/model/MLmodel, model/model.skops, …
<folder>/verification.json     requests of held-out rows, and what a server must answer
<folder>/manifest.json         relative path → SHA-256 of every other file
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployments.disk import saying_when_full, write_atomically
from deployments.errors import BadArtifact

MODEL: Final = "model"
MODEL_FILE: Final = f"{MODEL}/model.skops"
VERIFICATION: Final = "verification.json"
MANIFEST: Final = "manifest.json"


def manifest_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, the manifest itself excepted, by its path relative to `folder`."""
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): _sha256(path) for path in files if path != folder / MANIFEST}


def check_intact(folder: Path, manifest: Mapping[str, str]) -> None:
    """Raises `BadArtifact`, naming the file, if one is missing, differs by a byte, or was added."""
    found = manifest_of(folder)
    for path in sorted(manifest.keys() | found.keys()):
        match manifest.get(path), found.get(path):
            case expected, None:
                problem = f"is missing (expected SHA-256 {expected})"
            case None, _:
                problem = "was not there when the model was stored"
            case expected, actual if expected != actual:
                problem = f"has SHA-256 {actual}, not {expected}"
            case _:
                continue
        raise BadArtifact(f"{path} in {folder} {problem}: this is not the model that was judged; train it anew")


def keep(folder: Path, manifest: Mapping[str, str], fill: Callable[[Path], None]) -> Path:
    """`folder` with exactly the files of `manifest`; used as it is if intact, else made anew by `fill`.

    `fill` puts the files into the empty folder it is given. The result appears in one rename, so that a reader sees a
    whole model folder or none. Raises `BadArtifact` and `DiskFull`; `folder` then keeps what it had.
    """
    if _is_kept(folder, manifest):
        return folder
    with saying_when_full(folder):
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
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
