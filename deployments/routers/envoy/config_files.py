"""The files that the gateway reads: where they are, how they are written, and by whom at one time.

Envoy notices a file only when another one is renamed onto it, and each file is watched on its own.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.atomic_files import reserve_files, write_atomically, write_reserved
from deployments.clock import Clock
from deployments.errors import RouterUnreachable
from deployments.file_lock import LockHeldError, exclusive_lock

Json = dict[str, Any]

ADMIN_SOCKET = "envoy.sock"
CONTROL_SOCKET = "control.sock"
_UPLOAD_SOCKET = "uploads.sock"

_PRIVATE = 0o600
# A retreat writes three files; so many products may retreat on a full disk before anybody frees some room.
_RETREATS = 8
_SMALLEST_RESERVE = 64 * 1024


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """Paths below `folder` (kept for good) and `run_folder` (short, for the admin socket)."""

    folder: Path
    run_folder: Path

    @property
    def bootstrap(self) -> Path:
        """Read by Envoy once, at its start."""
        return self.folder / "bootstrap.json"

    @property
    def clusters(self) -> Path:
        """The version groups that Envoy knows (CDS)."""
        return self.folder / "cds.json"

    @property
    def routes(self) -> Path:
        """Which path goes to which versions, in which shares (RDS); when it is replaced, traffic moves."""
        return self.folder / "rds.json"

    @property
    def candidate(self) -> Path:
        """What is about to be written, for Envoy to validate."""
        return self.folder / "candidate.json"

    @property
    def certificate(self) -> Path:
        """Certificate and private key of the listener for others (SDS); for its owner only."""
        return self.folder / "certificate.json"

    @property
    def keys(self) -> Path:
        """The keys that others show, and what each opens (ECDS); for its owner only."""
        return self.folder / "keys.json"

    @property
    def rates(self) -> Path:
        """How often others may ask each product (ECDS)."""
        return self.folder / "rates.json"

    @property
    def admin_socket(self) -> Path:
        """Where Envoy answers questions about itself; for its owner only."""
        return self.run_folder / ADMIN_SOCKET

    @property
    def control_socket(self) -> Path:
        """Where the control service listens, if it runs."""
        return self.run_folder / CONTROL_SOCKET

    @property
    def upload_socket(self) -> Path:
        """Where Envoy listens for large requests that it passes to itself."""
        return self.run_folder / _UPLOAD_SOCKET

    @property
    def user_log(self) -> Path:
        """One line for each request with a key while a split stands; holds personal keys, for its owner only."""
        return self.folder / "users.jsonl"

    def endpoints(self, cluster: str) -> Path:
        """The addresses of one cluster (EDS takes one file a cluster)."""
        return self.folder / "eds" / f"{cluster}.json"


@contextlib.contextmanager
def sole_writer(files: EnvoyFiles, clock: Clock, timeout: timedelta) -> Iterator[None]:
    """Only one process (or thread) at a time is inside the block; the lock goes with its holder, whatever kills it.

    Raises `RouterUnreachable` when it is not free within `timeout`, and within seconds if its holder was stopped.
    """
    with _alone(files.folder / "lock", clock, timeout):
        yield


@contextlib.contextmanager
def sole_writer_of_routes(files: EnvoyFiles, clock: Clock, timeout: timedelta) -> Iterator[None]:
    """The same for the route table alone, for the moment of its replacement: a retreat waits for nobody's servers."""
    with _alone(files.folder / "routes.lock", clock, timeout):
        yield


@contextlib.contextmanager
def _alone(path: Path, clock: Clock, timeout: timedelta) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive_lock(path, clock, timeout))
        except LockHeldError as error:
            raise RouterUnreachable(str(error)) from None
        yield


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Replaces `path` by `document` as JSON, in one step. Raises `DiskFull`."""
    if path.is_dir():
        quarantine(path)
    write_atomically(path, as_bytes(document), mode=_PRIVATE)


def write_into_reserve(path: Path, document: Mapping[str, Any], files: EnvoyFiles) -> None:
    """`write_document` on a disk that may be full: into room that `reserve` has set aside."""
    write_reserved(path, as_bytes(document), files.folder, mode=_PRIVATE)


def reserve(files: EnvoyFiles) -> None:
    """See to room for retreats; nothing happens on a disk that has none any more."""
    size = 0
    with contextlib.suppress(FileNotFoundError):
        size = files.routes.stat().st_size
    reserve_files(files.folder, 3 * _RETREATS, max(_SMALLEST_RESERVE, _next_power_of_two(2 * size)))


def _next_power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def as_bytes(document: Mapping[str, Any]) -> bytes:
    """The one way that a document is written, so that equal documents are equal files."""
    return json.dumps(document, indent=1, sort_keys=True).encode()


def read_document(path: Path) -> Json | None:
    """The JSON object in `path`; None if there is none, or something else, or it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def quarantine(path: Path) -> Path:
    """Renames a damaged file to a name that nothing reads, for a person to look at; returns the new one."""
    names = (path.with_name(f"{path.name}.damaged{'-' * bool(number)}{number or ''}") for number in itertools.count())
    place = next(name for name in names if not name.exists())
    path.replace(place)
    return place


def versioned(resources: Sequence[Json]) -> Json:
    """A discovery document whose version says its content, so that Envoy's answer tells what it took."""
    digest = hashlib.sha256(as_bytes({"resources": list(resources)})).hexdigest()
    return {"version_info": digest[:16], "resources": list(resources)}
