"""Room for the log in its place: the oldest parts go before it takes more than it may, or than a disk can spare.

Several servers write to one place, each of which sees what the others wrote only now and then. So a server looks at all
parts whenever it has itself written a 32nd of what is allowed, and takes away so many that a quarter is free.
"""

from typing import TYPE_CHECKING, Final

from deployments.clock import Clock
from deployments.errors import DiskFull
from deployments.inference_log_reader import StoredPart, oldest
from deployments.serving.inference_log.buffer import InferenceLog
from deployments.serving.server_log import log_event, log_failure, place_of

if TYPE_CHECKING:
    from deployments.serving.inference_log.part_store import Store

_LOOKS: Final = 32
_SIXTEENTHS_AT_MOST, _SIXTEENTHS_LEFT = 14, 12
# A file takes whole blocks.
_BLOCK: Final = 4096


class TooLarge(Exception):
    """A part that would be most of what the log may take."""


class Space:
    """What a log of `product` may take: `most` bytes, and of a disk of this machine no more than it can spare.

    Only for one thread. What it sees and removes is counted in `log`.
    """

    def __init__(self, store: "Store", product: str, most: int, log: InferenceLog, clock: Clock) -> None:
        self._store, self._product, self._most, self._log, self._clock = store, product, most, log, clock
        self._written = self._since_looked = 0
        self._look_at: float | None = None
        self._cannot_look = self._told = False

    def make(self, size: int) -> None:
        """Sees to room for a part of `size` bytes.

        Raises `TooLarge`, `DiskFull` where the disk has none to spare though the log has given way, and what the store
        raises if it takes nothing away.
        """
        if size > self._most // 4:
            raise TooLarge
        parts = self._looked_at(size)
        too_much = self._log.stored_bytes + size - self._most * _SIXTEENTHS_AT_MOST // 16
        if too_much > 0:
            parts = self._all() if parts is None else parts
            self._remove(parts, self._log.stored_bytes + size - self._most * _SIXTEENTHS_LEFT // 16, "its size")
        if (lacking := self._store.lacks()) > 0:
            self._remove(self._all(), lacking + size, "the disk")
            if self._store.lacks() > 0:
                raise DiskFull("the disk has less room than the log leaves to others: free some")

    def took(self, size: int) -> None:
        """A part of `size` bytes was written."""
        size = -(-size // _BLOCK) * _BLOCK
        self._written += size
        self._since_looked += size
        self._log.stored_bytes += size

    def _looked_at(self, size: int) -> list[StoredPart] | None:
        """All parts, if it is time to look."""
        now = self._clock.monotonic()
        due = self._look_at is None or now >= self._look_at or self._since_looked + size > self._most // _LOOKS
        if not due:
            return None
        try:
            return self._all()
        except Exception as error:
            # Without seeing it, at least what we wrote ourselves is known.
            if self._written + size > self._most:
                raise
            if not self._cannot_look:
                log_failure("size of the inference log is not known", error=place_of(error))
            self._cannot_look = True
            self._looked()
            return []

    def _all(self) -> list[StoredPart]:
        parts = self._store.stored(self._product)
        self._log.stored_bytes = sum(part.size for part in parts)
        self._looked()
        return parts

    def _looked(self) -> None:
        self._since_looked = 0
        self._look_at = self._clock.monotonic() + self._store.seldom.total_seconds()

    def _remove(self, parts: list[StoredPart], size: int, why: str) -> None:
        removed = freed = 0
        for part in oldest(parts, size):
            if self._store.remove(part):
                removed, freed = removed + 1, freed + part.size
                self._log.removed_parts += 1
                self._log.removed_bytes += part.size
            self._log.stored_bytes -= part.size
        if removed and not self._told:
            self._told = True
            log_event("inference log gives way", why=why, parts=removed, bytes=freed, limit=self._most)
