"""The time column, and which rows lie in a window of it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from deployments.errors import BadData
from deployments.plurals import counted
from tasks.datasets.fingerprint import plain
from tasks.product_spec import Window, as_moment

MOMENT = pa.timestamp("us", "UTC")
# The step after which a moment is another moment; a half-open window ends one step after its newest row.
STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Half open [start, end), aware UTC; None where a side is open."""

    start: datetime | None
    end: datetime | None

    def __str__(self) -> str:
        start, end = (side.isoformat(sep=" ") if side else "…" for side in (self.start, self.end))
        return f"[{start}, {end})"


def with_moments(table: pa.Table, time_column: str) -> pa.Table:
    """`table` with its time column as UTC microseconds; times and dates without a zone are UTC, text must be ISO 8601.

    Raises `BadData` if the column is no time, or empty in some rows.
    """
    position = table.column_names.index(time_column)
    moments = _as_moments(plain(table.column(position)), time_column)
    if moments.null_count:
        raise BadData(
            f"time column {time_column!r} is empty in {moments.null_count:,} of {counted(table.num_rows, 'row')}: "
            "fill it, or leave these rows out at the source"
        )
    return table.set_column(position, time_column, moments)


def span(table: pa.Table, time_column: str) -> tuple[datetime, datetime]:
    """The moments of the oldest and the newest row; `table` has rows, and moments from `with_moments`."""
    ends = pc.min_max(table.column(time_column))
    return ends["min"].as_py().astimezone(UTC), ends["max"].as_py().astimezone(UTC)


def rows_within(table: pa.Table, time_column: str, window: Window) -> pa.Table:
    """The rows of `table` (with moments) that lie in `window`, in their order. Raises `BadData` if there is none."""
    oldest, newest = span(table, time_column)
    bounds = bounds_of(window, newest)
    moments = table.column(time_column)
    inside = pc.is_valid(moments)
    if bounds.start is not None:
        inside = pc.and_(inside, pc.greater_equal(moments, pa.scalar(bounds.start, MOMENT)))
    if bounds.end is not None:
        inside = pc.and_(inside, pc.less(moments, pa.scalar(bounds.end, MOMENT)))
    chosen = table.filter(inside)
    if not chosen.num_rows:
        raise BadData(
            f"the window {bounds} holds 0 of {counted(table.num_rows, 'row')}: {time_column!r} spans "
            f"{oldest.isoformat(sep=' ')} to {newest.isoformat(sep=' ')}, move data.window there"
        )
    return chosen


def bounds_of(window: Window, newest: datetime) -> Bounds:
    """What `window` means if the newest row is at `newest`: `last` counts back from the end, or from that row."""
    start = as_moment(window.start) if window.start is not None else None
    end = as_moment(window.end) if window.end is not None else None
    if window.last is not None:
        start = (end or newest + STEP) - window.last
    return Bounds(start, end)


def _as_moments(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_large_string(kind):
        return _parsed(column, name)
    if pa.types.is_timestamp(kind):
        # Nanoseconds are cut, not rounded: no row moves to a later window.
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
        return column.cast(MOMENT) if kind.tz else pc.assume_timezone(column, "UTC")
    if pa.types.is_date(kind):
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    raise BadData(f"time column {name!r} is of type {kind}, not a time: store times, dates or ISO 8601 text there")


def _parsed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    try:
        return pc.assume_timezone(column.cast(pa.timestamp("us")), "UTC")
    except pa.ArrowInvalid:
        pass
    try:
        return column.cast(MOMENT)
    except pa.ArrowInvalid as error:
        raise BadData(
            f"time column {name!r} is text that is not ISO 8601 throughout: write 2013-01-31 17:00:00, or "
            "2013-01-31T17:00:00Z in every row"
        ) from error
