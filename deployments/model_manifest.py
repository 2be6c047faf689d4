"""What a model folder must hold: the SHA-256 of each of its files, and one digest that stands for all of them.

The registry's side and the model server use the same functions. Whoever launches servers tells them the digest, so that
a manifest that merely lies beside a model proves nothing.
"""

import hashlib
import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deployments.errors import BadArtifact

MANIFEST: Final = "manifest.json"
# How servers and init containers are told which manifest they must find; older images of Seatrial do not mind.
DIGEST_VARIABLE: Final = "SEATRIAL_MODEL_DIGEST"
BYTES_VARIABLE: Final = "SEATRIAL_MODEL_BYTES"


def digest_of(manifest: Mapping[str, str]) -> str:
    """SHA-256 over the names and checksums of all files, however the manifest was written down."""
    content = json.dumps(dict(manifest), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def files_in(folder: Path) -> dict[str, Path]:
    """Every file below `folder`, the manifest itself excepted, by its path relative to `folder`.

    Raises `BadArtifact` for a link, a device or a pipe: what is behind one is not part of the folder.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            continue
        if not stat.S_ISREG(mode):
            kind = "a link" if stat.S_ISLNK(mode) else "no ordinary file"
            raise BadArtifact(f"{path} is {kind}, which no stored model holds: fetch the version again")
        if path != folder / MANIFEST:
            found[path.relative_to(folder).as_posix()] = path
    return found


def manifest_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder`, the manifest itself excepted, by its path. Raises as `files_in`."""
    return {name: sha256_of(path) for name, path in files_in(folder).items()}


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


def sha256_of(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
