"""Files out of the artifact store: no more of them than there may be, no links, nothing outside the folder.

Where a version's files lie is written in the registry, which others write to, so that a place may be anything: a
directory with a link to a secret, a device without end, a server of somebody's own.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from deployments.atomic_files import disk_full_errors
from deployments.errors import BadArtifact, DiskFull, NotFound, RegistryUnreachable
from deployments.registry.allowed_artifact_uris import check_location
from deployments.registry.mlflow_client import prepare_mlflow, translated_errors

_CHUNK: Final = 1 << 20
_MOST_FILES: Final = 10_000


def download(tracking_uri: str, location: str, into: Path, most_bytes: int) -> Path:
    """The copy, in the folder `into`, of the file or folder at `location`, which may be of `most_bytes` at most.

    Raises `BadArtifact` if it is gone, larger, no plain files, or on a server that is not the registry's, and
    `DiskFull` if `into` has no room.
    """
    prepare_mlflow()
    check_location(tracking_uri, location)
    source = _local(location)
    try:
        if source is not None:
            return _copied(source, location, into, most_bytes)
        with translated_errors(tracking_uri):
            return _from_store(tracking_uri, location, into, most_bytes)
    except DiskFull as error:
        raise DiskFull(f"no space left while writing {into}: free some room and run the same command again") from error
    except NotFound as error:
        raise BadArtifact(f"{location} is gone from the artifact store: train and register the model anew") from error


def _local(location: str) -> Path | None:
    """The path of a place on this machine; None for any other."""
    if urlsplit(location).scheme not in {"", "file"}:
        return None
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(location))


def _from_store(tracking_uri: str, location: str, into: Path, most_bytes: int) -> Path:
    import mlflow.artifacts
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    parent, _, name = location.rstrip("/").rpartition("/")
    store = get_artifact_repository(parent, tracking_uri=tracking_uri)
    total = 0
    for count, (path, size) in enumerate(_listed(store, name)):
        total += size
        if total > most_bytes or count >= _MOST_FILES:
            raise BadArtifact(_too_much(location, path, most_bytes))
    copy = mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=str(into), tracking_uri=tracking_uri)
    return Path(copy)


def _listed(store: Any, name: str) -> Iterator[tuple[str, int]]:
    """Each file at or below `name`, and its size in bytes."""
    waiting = [name]
    for path in waiting:
        below = store.list_artifacts(path)
        if not below and path == name:
            below = [each for each in store.list_artifacts(None) if each.path == name]
        waiting += [each.path for each in below if each.is_dir]
        yield from ((each.path, each.file_size or 0) for each in below if not each.is_dir)


def _copied(source: Path, location: str, into: Path, most_bytes: int) -> Path:
    try:
        with disk_full_errors(into):
            target = into / source.name
            _Copy(location, most_bytes).add(source.resolve(strict=True), target)
            return target
    except FileNotFoundError as error:
        raise NotFound(location) from error
    except (OSError, RuntimeError) as error:  # a circle of links
        raise RegistryUnreachable(
            f"{location} cannot be read ({error}): see that it is there, then try again"
        ) from error


class _Copy:
    """A copy of plain files from a folder of this machine, within a number of bytes."""

    def __init__(self, location: str, most_bytes: int) -> None:
        self._location, self._most, self._left, self._files = location, most_bytes, most_bytes, 0

    def add(self, source: Path, target: Path) -> None:
        """A file or folder. Links are not followed: what they lead to was never stored."""
        mode = source.lstat().st_mode
        if stat.S_ISDIR(mode):
            target.mkdir()
            for each in sorted(source.iterdir()):
                self.add(each, target / each.name)
        elif stat.S_ISREG(mode):
            self._file(source, target)
        else:
            kind = "a link" if stat.S_ISLNK(mode) else "no ordinary file"
            raise BadArtifact(f"{source} is {kind}, which no stored model holds: train and register the model anew")

    def _file(self, source: Path, target: Path) -> None:
        self._files += 1
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file, target.open("xb") as copy:
            while content := file.read(min(_CHUNK, self._left + 1)):
                self._left -= len(content)
                if self._left < 0:
                    raise BadArtifact(_too_much(self._location, str(source), self._most))
                copy.write(content)
        if self._files > _MOST_FILES:
            raise BadArtifact(_too_much(self._location, str(source), self._most))


def _too_much(location: str, path: str, most_bytes: int) -> str:
    return (
        f"{location} holds more than the {most_bytes} bytes (or {_MOST_FILES} files) that were stored, at {path}: "
        "this is not the model that was judged; train it anew"
    )
