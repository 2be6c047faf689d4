"""Parts into their store, whole or not at all: a folder of this machine, or an fsspec URL."""

from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from deployments.atomic_files import write_atomically
from deployments.inference_log_reader import (
    FEATURE,
    INCOMING,
    StoredPart,
    is_url,
    missing_bytes,
    open_filesystem,
    part_path,
    parts_at,
    parts_in,
    remove_part,
)
from deployments.process_identity import Owner, this_process

if TYPE_CHECKING:
    from deployments.serving.inference_log.retention import Space

_BY_DICTIONARY = ("key", "prediction")
_PRIVATE = 0o600


class Store(Protocol):
    """Where parts are kept. Whatever goes wrong raises the store's own errors; nothing of the part is then there."""

    seldom: timedelta
    """How often it is worth while to look at all that is there."""

    def keep(self, path: str, content: memoryview) -> None:
        """A new part; `path` counts from the log's folder."""
        ...

    def sweep(self) -> int:
        """Removes what servers that are gone left unfinished; how many files."""
        ...

    def stored(self, product: str) -> list[StoredPart]:
        """All parts of a product, by whatever server."""
        ...

    def remove(self, part: StoredPart) -> bool:
        """Whether a part was still there; now it is not."""
        ...

    def lacks(self) -> int:
        """How many bytes are missing until as much is free on the disk as a log leaves to others; 0 for none."""
        ...


class Parts:
    """The parts of one server, numbered from 1 on, as many as there is `space` for."""

    def __init__(self, store: Store, product: str, version: str, epoch: str, space: "Space | None" = None) -> None:
        self._store, self._product, self._version, self._epoch, self._space = store, product, version, epoch, space
        self._number = 0

    def write(self, day: datetime, rows: pa.Table) -> None:
        """One part, of rows of one day. Raises what the store and the space do; then it may be repeated."""
        name = f"part-{self._epoch}-{self._number + 1:06}.parquet"
        content = as_parquet(rows)
        if self._space is not None:
            self._space.make(len(content))
        self._store.keep(part_path(self._product, self._version, day.date(), name), content)
        self._number += 1
        if self._space is not None:
            self._space.took(len(content))


def as_parquet(rows: pa.Table) -> memoryview:
    """A Parquet file. Its making holds up no other thread."""
    few = [
        field.name
        for field in rows.schema
        if field.name in _BY_DICTIONARY or (pa.types.is_string(field.type) and field.name.startswith(FEATURE))
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd", use_dictionary=few)
    return memoryview(sink.getvalue())


def store_of(folder: str) -> Store:
    """The store of a log. Nothing is touched yet; a URL that cannot be used raises its error when it is used."""
    return _Elsewhere(folder) if is_url(folder) else _LocalFolder(Path(folder))


class _LocalFolder:
    seldom = timedelta(minutes=5)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / INCOMING / _signature()

    def keep(self, path: str, content: memoryview) -> None:
        self._incoming.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._folder / path, content, _PRIVATE, by_way_of=self._incoming)

    def sweep(self) -> int:
        swept = 0
        for folder in (self._folder / INCOMING).glob("*"):
            if _is_left_over(folder.name):
                for file in folder.glob("*"):
                    file.unlink(missing_ok=True)
                    swept += 1
                folder.rmdir()
        return swept

    def stored(self, product: str) -> list[StoredPart]:
        return parts_in(self._folder, product)

    def remove(self, part: StoredPart) -> bool:
        return remove_part(part)

    def lacks(self) -> int:
        return missing_bytes(self._folder)


class _Elsewhere:
    """Written under a name of its own first, and moved when it is whole."""

    seldom = timedelta(hours=1)

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._owner = _signature()
        self._known: tuple[Any, str] | None = None

    def keep(self, path: str, content: memoryview) -> None:
        system, root = self._opened()
        incoming = f"{root}/{INCOMING}/{self._owner}/{PurePosixPath(path).name}"
        system.makedirs(_above(incoming), exist_ok=True)
        system.pipe_file(incoming, bytes(content))
        system.makedirs(_above(f"{root}/{path}"), exist_ok=True)
        system.mv(incoming, f"{root}/{path}")

    def sweep(self) -> int:
        system, root = self._opened()
        incoming = f"{root}/{INCOMING}"
        if not system.exists(incoming):
            return 0
        swept = 0
        for folder in system.ls(incoming, detail=False):
            if _is_left_over(PurePosixPath(folder).name):
                swept += len(system.ls(folder, detail=False))
                system.rm(folder, recursive=True)
        return swept

    def stored(self, product: str) -> list[StoredPart]:
        system, root = self._opened()
        return parts_at(system, root, product)

    def remove(self, part: StoredPart) -> bool:
        system, _ = self._opened()
        try:
            system.rm_file(part.path)
        except FileNotFoundError:
            return False
        return True

    def lacks(self) -> int:
        return 0

    def _opened(self) -> tuple[Any, str]:
        self._known = self._known or open_filesystem(self._folder)
        return self._known


def _signature() -> str:
    # Some file systems allow no colon in a name.
    return str(this_process()).replace(":", "@")


def _above(path: str) -> str:
    return path.rpartition("/")[0]


def _is_left_over(owner: str) -> bool:
    try:
        return Owner.parse(owner.replace("@", ":")).is_gone()
    except ValueError:
        return False
