"""The gateway's log of users with a key: read line by line, and kept small.

A key is personal: the file is private, small and soon gone, and a key leaves this module only as a hash whose salt no
file holds. Lines that are lost (the disk was full, nobody read in time) are never made up: `Heard.whole` says so, and
`Reading` tells how many there should have been.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from deployments.analysis.counter_deltas import Heard, Mark
from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.analysis.user_metrics import Outcome
from deployments.clock import Clock
from deployments.errors import SeatrialError
from deployments.routers.envoy.access_log import LATENCY_BOUNDS_US, is_failed, is_given_up
from deployments.routers.envoy.clusters import product_and_version
from deployments.routers.envoy.route_config import key_name

# One file of this size and its predecessor: some 200,000 requests.
MOST_BYTES: Final = 16 * 1024 * 1024
_KEPT_FOR: Final = timedelta(hours=1)
_MOST_BROKEN: Final = 10_000
_PRIVATE: Final = 0o600
_NAME: Final = b'{"log":"%s"}\n' % (b"0" * 32)
_SALT: Final = secrets.token_bytes(16)


def make_user_log(path: Path) -> None:
    """The file, if there is none: Envoy would make one that everybody may read. Its first line names it for ever."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, _PRIVATE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b'{"log":"%s"}\n' % secrets.token_hex(16).encode())
    path.chmod(_PRIVATE)


@dataclass(frozen=True, slots=True)
class UserLog:
    """The log at `path`, of all products of one gateway. `reopen` makes Envoy write to the file that is there now."""

    path: Path
    reopen: Callable[[], None]

    def end(self) -> Mark:
        """What is written from now on comes after this."""
        found = _lines_of(self.path, None)
        return found[0] if found else Mark()

    def after(self, product: str, mark: Mark) -> Heard:
        """How the requests of the product's users went that were written after `mark`, in their order."""
        rest = self._rest(mark)
        if rest is None:
            return Heard(self.end(), (), whole=False)
        at, lines = rest
        broken = dict.fromkeys(mark.broken)
        found = tuple(_outcomes(lines, product, broken))
        read_to = Mark(at.file, at.offset, tuple(broken)[-_MOST_BROKEN:])
        return Heard(read_to, tuple(outcome for _, outcome in found), requests=tuple(request for request, _ in found))

    def trim(self, clock: Clock) -> None:
        """Begin a new file where this one is full or old, and remove what is old of the one before.

        For whoever reads, and for whoever keeps the platform. Raises `RouterUnreachable` if Envoy does not answer.
        """
        with _alone(self.path.with_suffix(".lock")) as mine:
            if not mine:
                return
            if _is_old(self._former, clock):
                self._former.unlink(missing_ok=True)
            size, gone = _size(self.path), not self.path.exists()
            if size > MOST_BYTES or (size and _is_old(self.path, clock)):
                self.path.rename(self._former)
                make_user_log(self.path)
                self.reopen()
            elif gone:
                make_user_log(self.path)  # Envoy goes on writing to the one that somebody took away
                try:
                    self.reopen()
                except SeatrialError:
                    self.path.unlink()
                    raise
            elif not size and self._former.exists():
                self.reopen()  # whoever renamed it may have been killed before he told Envoy

    @property
    def _former(self) -> Path:
        return self.path.with_suffix(".former.jsonl")

    def _rest(self, mark: Mark) -> tuple[Mark, list[bytes]] | None:
        """The whole lines after `mark`, and where they end; None where some may be gone."""
        now = _lines_of(self.path, len(_NAME))
        if now is None or now[0].file == mark.file:
            return _lines_of(self.path, mark.offset) if now else None
        former = _lines_of(self._former, mark.offset)
        if former is None or former[0].file != mark.file:
            return None
        # Until there is a line in the new file, Envoy may still write to the old one.
        return (now[0], [*former[1], *now[1]]) if now[1] else former


def _lines_of(path: Path, offset: int | None) -> tuple[Mark, list[bytes]] | None:
    """Whole lines from `offset` on, None: from the end on; and where they end. None: no such file, or a shorter one."""
    try:
        with path.open("rb") as file:
            name = file.readline(len(_NAME)).decode(errors="replace")
            size = file.seek(0, os.SEEK_END)
            begin = size if offset is None else offset
            if size < begin:
                return None
            file.seek(begin)
            text = file.read(size - begin)
    except FileNotFoundError:
        return None
    whole = text[: text.rfind(b"\n") + 1]
    return Mark(name, begin + len(whole)), whole.splitlines()


def _outcomes(lines: list[bytes], product: str, broken: dict[str, None]) -> Iterator[tuple[str, Outcome]]:
    """With the ids of their requests.

    `broken` are requests of which an attempt broke off; those whose end is written are taken out of it.
    """
    route, cluster = f'"{key_name(product)}"'.encode(), f'"reset":"{product}_v'.encode()
    for line in lines:
        if route not in line and cluster not in line:
            continue
        # What a full disk, or somebody's editor, left of a line is none: it is missed among those that were counted.
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(line.decode(errors="replace"))
            if "reset" in found:
                broken[found["id"]] = None
            elif found.get("route") == key_name(product) and (owner := product_and_version(str(found.get("version")))):
                outcome = _outcome(owner[1], found, found["id"] in broken)
                broken.pop(found["id"], None)
                if outcome is not None:
                    yield found["id"], outcome


def _outcome(version: int, line: dict[str, Any], again: bool) -> Outcome | None:
    """`again`: an attempt before broke off. None for a request that no server was asked before its client left."""
    user = hashlib.blake2b(str(line["key"]).encode(), key=_SALT, digest_size=16).hexdigest()
    if is_given_up(line["flags"]):
        age = bisect_right(LATENCY_BOUNDS_MS, line["ms"])
        return Outcome(version, user, given_up=age) if line["attempts"] else None
    took = line.get("us")
    latency = None if took is None else bisect_left(LATENCY_BOUNDS_US, took)
    return Outcome(version, user, again or is_failed(line["code"] or 0, line["flags"]), latency)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else is in the block."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    """Bytes of lines."""
    try:
        return max(0, path.stat().st_size - len(_NAME))
    except FileNotFoundError:
        return 0


def _is_old(path: Path, clock: Clock) -> bool:
    try:
        return clock.now().timestamp() - path.stat().st_mtime > _KEPT_FOR.total_seconds()
    except FileNotFoundError:
        return False
