"""What it takes to start a version that ran on this machine before, kept beside its model folder.

The registry may be away, or say something else by now, just when the former champion has to be started again.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from deployments.atomic_files import write_atomically
from deployments.errors import BadArtifact, DiskFull
from deployments.model_manifest import MANIFEST, check_intact, digest_of


@dataclass(frozen=True, slots=True)
class Kept:
    """A model folder, the types of the user's own that it may hold, and the digest of its manifest.

    The digest is empty where nobody knows it. `sealed` says that a seal told all of it; of others the types are those
    that the version was started with here by a Seatrial that knew no seals.
    """

    folder: Path
    trusted: tuple[str, ...]
    digest: str = ""
    sealed: bool = False


def write_start_record(models: Path, product: str, version: int, kept: Kept) -> None:
    """Note how `version` was started. On a full disk nothing is noted: the registry is then asked again."""
    path, content = _note(models, product, version), _document(kept)
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_atomically(path, content)
    except (DiskFull, OSError):
        return


def read_start_record(models: Path, product: str, version: int) -> Kept | None:
    """How `version` was last started; None if that is not known, or its folder is not as it was stored.

    Of one that was fetched, and never started by a Seatrial that takes notes, it is the folder that `fetch` gives.
    """
    place = models / product / f"v{version}"
    try:
        found = _noted(models, product, version)
        if found is None and (place / MANIFEST).is_file():
            found = Kept(place, ())
        if found is None:
            return None
        if (found.folder / MANIFEST).is_file():
            manifest = json.loads((found.folder / MANIFEST).read_bytes())
            check_intact(found.folder, manifest)
            found = replace(found, digest=digest_of(manifest))
    except (OSError, ValueError, KeyError, TypeError, BadArtifact):
        return None
    return found if found.folder.is_dir() else None


def _noted(models: Path, product: str, version: int) -> Kept | None:
    try:
        told = json.loads(_note(models, product, version).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return Kept(Path(told["folder"]), tuple(map(str, told["trusted"])), sealed=told.get("sealed") is True)


def _document(kept: Kept) -> bytes:
    told = {"folder": str(kept.folder.resolve()), "trusted": list(kept.trusted), "sealed": kept.sealed}
    return json.dumps(told).encode()


def _note(models: Path, product: str, version: int) -> Path:
    return models / product / f"v{version}.started.json"
