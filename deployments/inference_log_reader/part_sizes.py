"""What a log takes of its place: its parts with their sizes, from the oldest on, so that these can give way."""

import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PART: Final = re.compile(r"product=[^/]+/version=[^/]+/date=(\d{4}-\d{2}-\d{2})/part-[^/]+\.parquet")
# What a log leaves to others, above all to the journal: so much, or that share of a small disk.
_LEFT_BYTES: Final = 1024**3
_LEFT_SHARE: Final = 10
# A file takes whole blocks; `st_blocks` counts these.
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True, order=True)
class StoredPart:
    """A part, ordered by its age: `written` is when, in seconds since 1970, or 0 where the store does not tell."""

    day: str
    written: float
    path: str
    size: int


def parts_in(folder: Path, product: str | None = None) -> list[StoredPart]:
    """Parts in a folder of this machine, of one product or of all; no links are followed, other files are left out."""
    found: list[StoredPart] = []
    products = [f"product={product}"] if product is not None else _folders(folder, "product=")
    for of_product in products:
        for version in _folders(folder / of_product, "version="):
            for day in _folders(folder / of_product / version, "date="):
                found.extend(_parts_of_day(folder, f"{of_product}/{version}/{day}"))
    return found


def parts_at(system: Any, root: str, product: str) -> list[StoredPart]:
    """The same of an fsspec file system."""
    base = f"{root}/product={product}"
    try:
        listed: dict[str, Any] = system.find(base, detail=True)
    except FileNotFoundError:
        return []
    found: list[StoredPart] = []
    for path, details in listed.items():
        if match := _PART.fullmatch(path.removeprefix(f"{root}/")):
            moment = details.get("LastModified") or details.get("mtime") or details.get("created") or 0.0
            written = moment.timestamp() if hasattr(moment, "timestamp") else float(moment)
            found.append(StoredPart(match[1], written, path, int(details.get("size") or 0)))
    return found


def oldest(parts: Sequence[StoredPart], size: int) -> Iterator[StoredPart]:
    """The oldest of `parts`, as many as take `size` bytes together, or all."""
    for part in sorted(parts):
        if size <= 0:
            return
        size -= part.size
        yield part


def remove_part(part: StoredPart) -> bool:
    """Whether a part in a folder of this machine was still there; now it is not. Who reads it reads on."""
    path = Path(part.path)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):  # something is still in it, or somebody else was quicker
        path.parent.rmdir()
    return True


def missing_bytes(folder: Path) -> int:
    """How many bytes are missing until the disk of `folder` has as much room as a log leaves to others; or 0."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    disk = shutil.disk_usage(folder)
    return max(0, min(_LEFT_BYTES, disk.total // _LEFT_SHARE) - disk.free)


def _parts_of_day(folder: Path, place: str) -> Iterable[StoredPart]:
    with suppress(FileNotFoundError), os.scandir(folder / place) as entries:
        for entry in entries:
            match = _PART.fullmatch(f"{place}/{entry.name}")
            if match is None:
                continue
            with suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    size = max(status.st_size, status.st_blocks * _BLOCK)
                    yield StoredPart(match[1], status.st_mtime, entry.path, size)


def _folders(above: Path, beginning: str) -> list[str]:
    try:
        with os.scandir(above) as entries:
            return [
                each.name for each in entries if each.name.startswith(beginning) and each.is_dir(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
