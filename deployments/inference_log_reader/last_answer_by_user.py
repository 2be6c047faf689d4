"""Which answer somebody got last, by the sticky key of the user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from deployments.inference_log_reader.reader import dataset_of, days_between, parts_of, reread_when_parts_vanish

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ["key", "time", "request_id", "version"]


@dataclass(frozen=True, slots=True)
class LoggedAnswer:
    """Which version answered which request, and when."""

    time: datetime
    request_id: str
    version: int


def newest_answers(
    folder: str, product: str, wanted: Sequence[tuple[str, datetime]], within: timedelta
) -> list[LoggedAnswer | None]:
    """For each key and moment the last answer that its user got until then, and not longer than `within` before.

    Of any version; mirrored answers do not count, for nobody got them. None where none was logged. Memory does not grow
    with the log, and only the days are looked at in which one of them may lie.
    """
    return reread_when_parts_vanish(lambda: _newest_answers(folder, product, wanted, within))


def _newest_answers(
    folder: str, product: str, wanted: Sequence[tuple[str, datetime]], within: timedelta
) -> list[LoggedAnswer | None]:
    by_key: dict[str, list[int]] = {}
    for place, (key, _) in enumerate(wanted):
        by_key.setdefault(key, []).append(place)
    newest: list[LoggedAnswer | None] = [None] * len(wanted)
    for batch in _answers_to(folder, product, wanted, within):
        for place, answer in _candidates(batch, wanted, by_key):
            known = newest[place]
            if answer.time >= wanted[place][1] - within and (known is None or answer.time > known.time):
                newest[place] = answer
    return newest


def _candidates(
    batch: "pa.RecordBatch", wanted: Sequence[tuple[str, datetime]], by_key: Mapping[str, Sequence[int]]
) -> Iterator[tuple[int, LoggedAnswer]]:
    """The last answer in `batch` until each moment, with the place in `wanted`."""
    import numpy as np

    keys = batch.column("key").dictionary_encode()
    codes = keys.indices.to_numpy()
    times = np.asarray(batch.column("time").view("int64"))
    order = np.lexsort((times, codes))
    times = times[order]
    borders = np.searchsorted(codes[order], np.arange(len(keys.dictionary) + 1))
    for code, key in enumerate(keys.dictionary.to_pylist()):
        first, end = borders[code], borders[code + 1]
        for place in by_key[key]:
            later = np.searchsorted(times[first:end], _microseconds(wanted[place][1]), side="right")
            if later:
                yield place, _answer(batch, int(order[first + later - 1]))


def _answer(batch: "pa.RecordBatch", row: int) -> LoggedAnswer:
    time, request_id, version = (batch.column(name)[row].as_py() for name in ("time", "request_id", "version"))
    return LoggedAnswer(time, request_id, version)


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _answers_to(
    folder: str, product: str, wanted: Sequence[tuple[str, datetime]], within: timedelta
) -> Iterator["pa.RecordBatch"]:
    if not wanted:
        return
    import pyarrow as pa
    import pyarrow.dataset as ds

    start, end = min(at for _, at in wanted) - within, max(at for _, at in wanted)
    days = {day for _, at in wanted for day in days_between(at - within, at)}
    system, paths = parts_of(folder, product, None, days)
    if not paths:
        return
    keys: Any = pa.array(sorted({key for key, _ in wanted}), pa.string())
    theirs = ds.field("key").isin(keys) & ~ds.field("mirrored") & (ds.field("row") == 0)
    when = (ds.field("time") >= start) & (ds.field("time") <= end)
    batches = dataset_of(system, paths).to_batches(columns=_COLUMNS, filter=theirs & when)
    yield from (batch for batch in batches if batch.num_rows)
