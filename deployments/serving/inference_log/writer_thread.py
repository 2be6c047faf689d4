"""The thread that turns buffered answers into parts, and keeps trying when the store takes none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from deployments.atomic_files import is_disk_full
from deployments.clock import Clock
from deployments.redaction import masked
from deployments.serving.inference_log.buffer import Bounds, InferenceLog, Logged, Reason
from deployments.serving.inference_log.options import LogOptions
from deployments.serving.inference_log.retention import Space, TooLarge
from deployments.serving.server_log import log_event, log_failure, place_of

if TYPE_CHECKING:
    from deployments.serving.inference_log.arrow_table import Block, Tables
    from deployments.serving.inference_log.part_store import Parts
    from deployments.serving.model_metadata import Description

PART_ROWS = 50_000
# Of the blocks: making one of them takes two or three times as much for a moment.
PART_BYTES = 8 * 1024 * 1024
_TICK_SECONDS = 0.25
# Of a small log, so that it is not emptied for each.
_PARTS_AT_LEAST = 16
# Small steps with a pause: while a block is made from Python's objects, no request can be answered.
_SLICE, _SLICE_ROWS, _SLICE_BYTES = 256, 4_096, 1024 * 1024
_PAUSE = timedelta(milliseconds=1)
# Of the arrays themselves, whatever they hold.
_BYTES_PER_BLOCK = 4_096
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 60.0
_FAREWELL_SECONDS = 10.0
# What is told nowhere else.
_NO_OUTAGE = frozenset({Reason.BUFFER_FULL, Reason.RATE, Reason.TOO_LARGE})


class Recorder:
    """Takes answers out of `log` and writes them, when they are `flush` old, or `PART_ROWS`, or take `part_bytes`.

    When a part cannot be written its rows stay in memory, which the log's own limits bound, and it is tried again after
    1 s, 2 s, up to a minute. Only for one thread.
    """

    def __init__(
        self,
        log: InferenceLog,
        tables: "Tables",
        parts: "Parts",
        flush: timedelta,
        clock: Clock,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._log, self._tables, self._parts, self._clock, self._part_bytes = log, tables, parts, clock, part_bytes
        # As old as `flush` when they are written, not when that begins.
        self._flush_seconds = max(flush.total_seconds() - 2 * _TICK_SECONDS, flush.total_seconds() / 2)
        self._days: dict[datetime, list[Block]] = {}
        self._rows = 0
        self._since: float | None = None
        self._wait_seconds = 0.0
        self._next_try = 0.0
        self._told: set[Reason] = set()

    def step(self) -> None:
        """Makes blocks of what was answered since the last step, if it is much, and writes what is due."""
        if self._waiting() >= _SLICE or self._log.waiting_bytes >= _SLICE_BYTES:
            self._take()
        now = self._clock.monotonic()
        since = self._log.waiting_since if self._since is None else self._since
        many = self._rows >= PART_ROWS or self._log.held_bytes >= self._part_bytes
        due = many or (since is not None and now - since >= self._flush_seconds)
        if due and now >= self._next_try:
            self.flush()
        self._tell_drops()

    def flush(self) -> None:
        """Writes all that there is, or as much as the store takes."""
        self._take()
        alone = False
        while self._days:
            day = min(self._days)
            some = self._days[day][:1] if alone else _first_rows(self._days[day], self._part_bytes)
            try:
                self._parts.write(day, self._tables.table(some))
            except TooLarge:
                if alone := len(some) > 1:
                    continue
                self._over(day, some)
                self._log.lost(some[0].rows, Reason.TOO_LARGE)
                continue
            except Exception as error:  # noqa: BLE001 - whatever a store raises must never stop the server
                self._put_off(error)
                return
            self._resume()
            self._over(day, some)
            self._log.wrote(sum(block.rows for block in some))

    def _waiting(self) -> int:
        return self._log.buffered - self._rows

    def _take(self) -> None:
        # What comes while this works is for the next step.
        remaining = self._waiting()
        while remaining > 0 and (answers := self._log.some(_SLICE, _SLICE_ROWS, _SLICE_BYTES)):
            remaining -= sum(answer.batch.rows for answer in answers)
            self._hold(answers, self._clock.now().timestamp() - self._clock.monotonic())
            self._log.done()
            self._clock.sleep(_PAUSE)

    def _hold(self, answers: list[Logged], zero: float) -> None:
        try:
            made = list(self._tables.blocks(answers, zero))
        except Exception as error:  # noqa: BLE001 - one strange answer must not take the others with it
            if len(answers) > 1:
                for answer in answers:
                    self._hold([answer], zero)
                return
            log_failure("answer not logged", request_id=answers[0].request_id, error=place_of(error))
            self._log.lost(answers[0].batch.rows, Reason.UNREADABLE)
            return
        if self._since is None:
            self._since = answers[0].answered
        for day, block in made:
            self._days.setdefault(day, []).append(block)
            self._rows += block.rows
            self._log.held_bytes += _size_of(block)

    def _over(self, day: datetime, some: "list[Block]") -> None:
        del self._days[day][: len(some)]
        if not self._days[day]:
            del self._days[day]
        rows = sum(block.rows for block in some)
        self._rows -= rows
        if not self._rows:
            self._since = None
        self._log.held_bytes -= sum(map(_size_of, some))

    def _tell_drops(self) -> None:
        """Once for each reason, as long as the process lives; `/metrics` counts on."""
        dropped = self._log.dropped
        for reason in _NO_OUTAGE - self._told:
            if dropped[reason]:
                self._told.add(reason)
                log_failure("inference log drops rows", reason=reason.value)

    def _put_off(self, error: Exception) -> None:
        reason = Reason.DISK_FULL if is_disk_full(error) else Reason.UNREACHABLE
        if self._log.outage is None:
            log_failure("inference log cannot be written", reason=reason.value, error=place_of(error))
        self._log.outage = reason
        self._wait_seconds = min(max(_FIRST_WAIT_SECONDS, 2 * self._wait_seconds), _LONGEST_WAIT_SECONDS)
        self._next_try = self._clock.monotonic() + self._wait_seconds

    def _resume(self) -> None:
        if self._log.outage is not None:
            log_event("inference log is written again", dropped=sum(self._log.dropped.values()))
        self._log.outage = None
        self._wait_seconds = self._next_try = 0.0


def _size_of(block: "Block") -> int:
    return block.nbytes + _BYTES_PER_BLOCK


def _first_rows(blocks: "list[Block]", part_bytes: int) -> "list[Block]":
    """As many of the first as make a part, at least one."""
    rows = size = 0
    for number, block in enumerate(blocks):
        rows, size = rows + block.rows, size + _size_of(block)
        if rows >= PART_ROWS or size >= part_bytes:
            return blocks[: number + 1]
    return list(blocks)


@contextmanager
def recording(
    options: LogOptions, description: "Description", version: str, epoch: str, clock: Clock
) -> Iterator[InferenceLog]:
    """A log that is written beside the block, and completed at its end; within 10 s, else the rest is lost and counted.

    To be entered in the process that answers, before it does: what it imports takes a while.
    """
    import pyarrow as pa

    from deployments.serving.inference_log.arrow_table import Masking, Tables
    from deployments.serving.inference_log.part_store import Parts, store_of

    # Arrow's own keeps what it once had.
    pa.set_memory_pool(pa.system_memory_pool())
    log = InferenceLog(options.sample, Bounds(rate=options.rate))
    store = store_of(options.folder)
    tables = Tables(description, Masking(options.mask, options.secret), options.key_cookie)
    space = Space(store, description.product, options.size, log, clock)
    parts = Parts(store, description.product, version, epoch, space)
    recorder = Recorder(log, tables, parts, options.flush, clock, min(PART_BYTES, options.size // _PARTS_AT_LEAST))
    stopping = threading.Event()

    def work() -> None:
        try:
            if swept := store.sweep():
                log_event("inference log swept", files=swept)
        except Exception as error:  # noqa: BLE001 - the store may be away for now
            log_failure("inference log not swept", folder=masked(options.folder), error=place_of(error))
        while not stopping.is_set():
            log.much.wait(_TICK_SECONDS)
            log.much.clear()
            recorder.step()
        recorder.flush()

    writer = threading.Thread(target=work, name="inference-log", daemon=True)
    writer.start()
    try:
        yield log
    finally:
        stopping.set()
        log.much.set()
        writer.join(_FAREWELL_SECONDS)
        if lost := log.buffered:
            log_failure("inference log incomplete", rows=lost)
            log.lost(lost, Reason.STOPPED)
