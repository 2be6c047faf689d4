"""Answers on their way to the log: taken on the event loop in about a microsecond, within bounds, counted."""

import zlib
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from deployments.serving.batch import Batch

if TYPE_CHECKING:
    import numpy as np

# Beyond the body that it came with, an answer takes about so much memory until it is in a table.
_BYTES_PER_ANSWER, _BYTES_PER_ROW = 1_500, 200
# Knuth's multiplier: checksums of similar ids differ in few places, and the share is decided by the highest ones.
_SPREAD, _ALL = 2_654_435_761, 2**32


class Reason(StrEnum):
    """Why rows are not in the log."""

    BUFFER_FULL = "buffer_full"  # they came faster than they could be written
    DISK_FULL = "disk_full"
    UNREACHABLE = "unreachable"  # the store takes nothing
    UNREADABLE = "unreadable"  # they cannot stand in a table
    STOPPED = "stopped"  # the server ended, and the store took nothing


class Logged(NamedTuple):
    """One answered request.

    `key` is the raw header that holds the user's sticky key. `predictions` are the probabilities of the classes, shape
    (rows, classes), or a class or number a row, shape (rows,). `answered` and `seconds`, which the answer took, are in
    seconds, `answered` on the clock's monotonic scale. `body_bytes` is the size of the request.
    """

    request_id: str
    key: bytes | None
    mirrored: bool
    paired: bool
    batch: Batch
    predictions: "np.ndarray[Any, Any]"
    answered: float
    seconds: float
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait in memory for the log."""

    rows: int = 500_000
    memory_bytes: int = 128 * 1024 * 1024


class InferenceLog:
    """Takes answers on the event loop, and gives them to one writer in another thread.

    `sample` is the share of requests (0–1) that are kept, by their id: all rows of a request are, or none, and both
    answers of a mirrored request. What does not fit into `bounds` is dropped and counted. Counts are of rows; each is
    changed by one of the two threads only.
    """

    def __init__(self, sample: float = 1.0, bounds: Bounds = Bounds()) -> None:
        self._threshold = round(sample * _ALL)
        self._bounds = bounds
        self._waiting: deque[Logged] = deque()
        self._taken_rows = self._taken_bytes = 0
        self._dropped_here = _no_drops()
        # From here on the writer's.
        self._given_bytes = 0
        self._settled_rows = 0
        self._dropped_later = _no_drops()
        self.written_rows = self.parts = 0
        self.held_bytes = 0
        self.outage: Reason | None = None

    def record(self, answer: Logged) -> None:
        """One more answer; only for the event loop. Never fails, never waits."""
        if self._threshold < _ALL and not self._chosen(answer.request_id):
            return
        rows, size = answer.batch.rows, _size_of(answer)
        if (
            self._taken_rows - self._settled_rows + rows > self._bounds.rows
            or self._taken_bytes - self._given_bytes + self.held_bytes + size > self._bounds.memory_bytes
        ):
            self._dropped_here[self.outage or Reason.BUFFER_FULL] += rows
            return
        self._taken_rows += rows
        self._taken_bytes += size
        self._waiting.append(answer)

    def some(self, most: int, most_rows: int) -> list[Logged]:
        """The oldest answers that wait, but no more than this, except for a single large one; they wait no longer."""
        taken: list[Logged] = []
        rows = 0
        while self._waiting and len(taken) < most and (not taken or rows + self._waiting[0].batch.rows <= most_rows):
            taken.append(self._waiting.popleft())
            rows += taken[-1].batch.rows
            self._given_bytes += _size_of(taken[-1])
        return taken

    def wrote(self, rows: int) -> None:
        """So many rows are in a part."""
        self.parts += 1
        self.written_rows += rows
        self._settled_rows += rows

    def lost(self, rows: int, reason: Reason) -> None:
        """So many rows will not be in any part."""
        self._dropped_later[reason] += rows
        self._settled_rows += rows

    @property
    def waiting_since(self) -> float | None:
        """When the oldest answer that waits was given, on the monotonic clock; None if none waits."""
        return self._waiting[0].answered if self._waiting else None

    @property
    def buffered(self) -> int:
        """Rows that are in memory and in no part yet."""
        return self._taken_rows - self._settled_rows

    @property
    def dropped(self) -> dict[Reason, int]:
        """Rows that will be in no part, by reason."""
        return {reason: self._dropped_here[reason] + self._dropped_later[reason] for reason in Reason}

    def as_text(self) -> str:
        """What was counted, for Prometheus."""
        lines = [
            "# HELP seatrial_server_log_rows_total Rows written to the inference log.",
            "# TYPE seatrial_server_log_rows_total counter",
            f"seatrial_server_log_rows_total {self.written_rows}",
            "# HELP seatrial_server_log_dropped_total Rows that should be in the inference log and are not, by reason.",
            "# TYPE seatrial_server_log_dropped_total counter",
            *(
                f'seatrial_server_log_dropped_total{{reason="{reason}"}} {rows}'
                for reason, rows in self.dropped.items()
            ),
            "# HELP seatrial_server_log_parts_total Parts of the inference log written.",
            "# TYPE seatrial_server_log_parts_total counter",
            f"seatrial_server_log_parts_total {self.parts}",
            "# HELP seatrial_server_log_buffered_rows Rows that wait for the next part of the inference log.",
            "# TYPE seatrial_server_log_buffered_rows gauge",
            f"seatrial_server_log_buffered_rows {self.buffered}",
        ]
        return "\n".join(lines) + "\n"

    def _chosen(self, request_id: str) -> bool:
        return zlib.crc32(request_id.encode()) * _SPREAD % _ALL < self._threshold


def _size_of(answer: Logged) -> int:
    return answer.body_bytes + _BYTES_PER_ANSWER + _BYTES_PER_ROW * answer.batch.rows


def _no_drops() -> dict[Reason, int]:
    return dict.fromkeys(Reason, 0)
