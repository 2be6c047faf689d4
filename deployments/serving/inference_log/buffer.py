"""Answers on their way to the log: taken on the event loop in about a microsecond, within bounds, counted."""

import threading
import zlib
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from sys import getsizeof
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from deployments.serving.row_batch import Batch

if TYPE_CHECKING:
    import numpy as np

# Beyond its values, an answer takes about so much memory until it is in a table; in a table, a row so much.
_BYTES_PER_ANSWER, _BYTES_PER_ROW = 1_500, 64
# Of a text beyond its characters, of which each takes up to four bytes: one emoji makes all the others as wide.
_BYTES_PER_TEXT, _WIDEST = 88, 4
# Its length in a table.
_OF_A_TABLE_TEXT = 4
# The writer is woken for so much, and else looks for itself.
_MUCH: Final = 4 * 1024 * 1024
# On average, as memory counts it. To write a part takes several times its longest text.
_LONGEST_ROW: Final = 8 * 1024 * 1024
# At most so much comes at once, if little came before: so many seconds' worth.
_BURST_SECONDS: Final = 30.0
# Knuth's multiplier: checksums of similar ids differ in few places, and the share is decided by the highest ones.
_SPREAD, _ALL = 2_654_435_761, 2**32
# Of a user's key, in characters; a longer one is not logged, for it would stand in every row.
LONGEST_KEY: Final = 256


class Reason(StrEnum):
    """Why rows are not in the log."""

    BUFFER_FULL = "buffer_full"  # they came faster than they could be written
    RATE = "rate"  # they came faster than the log may grow
    TOO_LARGE = "too_large"  # a row of 2 MiB of text, or a part of them would be most of what the log may take
    DISK_FULL = "disk_full"  # or has less room than the log leaves to others
    UNREACHABLE = "unreachable"  # the store takes nothing
    UNREADABLE = "unreadable"  # they cannot stand in a table
    STOPPED = "stopped"  # the server ended, and the store took nothing


class Logged(NamedTuple):
    """One answered request.

    `key` is the raw header that holds the user's sticky key. `predictions` are the probabilities of the classes, shape
    (rows, classes), or a class or number a row, shape (rows,). `answered` and `seconds`, which the answer took, are in
    seconds, `answered` on the clock's monotonic scale. `body_bytes` is the size of the request; None if that says
    nothing of what was in it, as of a compressed one.
    """

    request_id: str
    key: bytes | None
    mirrored: bool
    paired: bool
    batch: Batch
    predictions: "np.ndarray[Any, Any]"
    answered: float
    seconds: float
    body_bytes: int | None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait in memory for the log, and how many bytes a second may come, over half a minute."""

    rows: int = 500_000
    memory_bytes: int = 48 * 1024 * 1024
    rate: float = 2.0 * 1024 * 1024


class InferenceLog:
    """Takes answers on the event loop, and gives them to one writer in another thread.

    `sample` is the share of requests (0–1) that are kept, by their id: all rows of a request are, or none, and both
    answers of a mirrored request. What does not fit into `bounds` is dropped and counted. Counts are of rows; each is
    changed by one of the two threads only.
    """

    def __init__(self, sample: float = 1.0, bounds: Bounds = Bounds()) -> None:
        self._threshold = round(sample * _ALL)
        self._bounds = bounds
        self._waiting: deque[tuple[Logged, int]] = deque()
        self._taken_rows = self._taken_bytes = 0
        self._allowance = self._burst = bounds.rate * _BURST_SECONDS
        self._allowed_at = 0.0
        self._dropped_here = _no_drops()
        self.much = threading.Event()
        # From here on the writer's.
        self._in_hand = self._given_bytes = 0
        self._settled_rows = 0
        self._dropped_later = _no_drops()
        self.written_rows = self.parts = 0
        self.held_bytes = 0
        self.outage: Reason | None = None
        self.stored_bytes = self.removed_parts = self.removed_bytes = 0

    def record(self, answer: Logged) -> None:
        """One more answer; only for the event loop. Never fails, never waits."""
        if self._threshold < _ALL and not self._chosen(answer.request_id):
            return
        rows, bounds, answered = answer.batch.rows, self._bounds, answer.answered
        size, length = _sizes_of(answer)
        if size > _LONGEST_ROW and size > rows * _LONGEST_ROW:
            self._dropped_here[Reason.TOO_LARGE] += rows
            return
        taken_rows, taken_bytes = self._taken_rows + rows, self._taken_bytes + size
        waiting = taken_bytes - self._given_bytes
        if taken_rows - self._settled_rows > bounds.rows or waiting + self.held_bytes > bounds.memory_bytes:
            self._dropped_here[self.outage or Reason.BUFFER_FULL] += rows
            return
        # Nobody takes more than half of what the rate leaves: small answers find room beside large ones without end.
        allowance = self._allowance + (answered - self._allowed_at) * bounds.rate
        if allowance > self._burst:  # noqa: PLR1730 - a call costs as much as all the rest
            allowance = self._burst
        self._allowed_at = answered
        if 2 * length > allowance:
            self._allowance = allowance
            self._dropped_here[Reason.RATE] += rows
            return
        self._allowance = allowance - length
        self._taken_rows, self._taken_bytes = taken_rows, taken_bytes
        self._waiting.append((answer if answer.predictions.base is None else _by_itself(answer), size))
        if waiting > _MUCH and not self.much.is_set():  # which costs less than to set it again
            self.much.set()

    def some(self, most: int, most_rows: int, most_bytes: int = _MUCH) -> list[Logged]:
        """The oldest answers that wait, but no more than this, except for a single large one; they wait no longer.

        Their memory counts until `done`.
        """
        self.done()
        taken: list[Logged] = []
        rows = 0
        while self._waiting and len(taken) < most:
            answer, size = self._waiting[0]
            if taken and (rows + answer.batch.rows > most_rows or self._in_hand + size > most_bytes):
                break
            self._waiting.popleft()
            taken.append(answer)
            rows += answer.batch.rows
            self._in_hand += size
        return taken

    def done(self) -> None:
        """The answers that were given last are not needed any more."""
        self._given_bytes += self._in_hand
        self._in_hand = 0

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
        return self._waiting[0][0].answered if self._waiting else None

    @property
    def waiting_bytes(self) -> int:
        """What answers take that are in no table yet."""
        return self._taken_bytes - self._given_bytes

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
            "# HELP seatrial_server_log_buffered_bytes Memory that these rows take at most.",
            "# TYPE seatrial_server_log_buffered_bytes gauge",
            f"seatrial_server_log_buffered_bytes {self.waiting_bytes + self.held_bytes}",
            "# HELP seatrial_server_log_stored_bytes What the log of the product takes, as last seen.",
            "# TYPE seatrial_server_log_stored_bytes gauge",
            f"seatrial_server_log_stored_bytes {self.stored_bytes}",
            "# HELP seatrial_server_log_removed_parts_total Old parts that this server removed to make room.",
            "# TYPE seatrial_server_log_removed_parts_total counter",
            f"seatrial_server_log_removed_parts_total {self.removed_parts}",
            "# HELP seatrial_server_log_removed_bytes_total What these parts took.",
            "# TYPE seatrial_server_log_removed_bytes_total counter",
            f"seatrial_server_log_removed_bytes_total {self.removed_bytes}",
        ]
        return "\n".join(lines) + "\n"

    def _chosen(self, request_id: str) -> bool:
        return zlib.crc32(request_id.encode()) * _SPREAD % _ALL < self._threshold


def _sizes_of(answer: Logged) -> tuple[int, int]:
    """What an answer takes in memory, at most, as it is or in a table; and what it adds to the log, uncompressed.

    By the length of its body, for looking at each text would take longer than all the rest.
    """
    request_id, key, _, _, batch, predictions, _, _, body = answer
    rows, columns = batch.rows, len(batch.categories)
    a_row = _BYTES_PER_ROW + _OF_A_TABLE_TEXT * columns + len(request_id)
    if key is None:
        table = batch.numbers.nbytes + predictions.nbytes + rows * a_row
        size = table + _BYTES_PER_ANSWER
    else:
        a_row += min(len(key), _WIDEST * LONGEST_KEY)
        table = batch.numbers.nbytes + predictions.nbytes + rows * a_row
        size = table + _BYTES_PER_ANSWER + len(key)
    if not columns:
        return size, table
    if body is None:
        texts = sum(map(getsizeof, chain.from_iterable(batch.categories))) + 8 * rows * columns
        return size + texts, table + texts
    return size + _WIDEST * body + _BYTES_PER_TEXT * rows * columns, table + body


def _by_itself(answer: Logged) -> Logged:
    """The same without a hold on what other answers are in: those that were worked out in company share an array."""
    whole = answer.predictions.base
    if getattr(whole, "nbytes", 0) <= 2 * answer.predictions.nbytes + _BYTES_PER_ANSWER:
        return answer
    return answer._replace(predictions=answer.predictions.copy())


def _no_drops() -> dict[Reason, int]:
    return dict.fromkeys(Reason, 0)
