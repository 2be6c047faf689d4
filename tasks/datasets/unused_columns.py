"""Columns that nothing in the spec uses, and that cannot be kept: they are left out, for nobody would miss them."""

from collections import Counter
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from deployments.errors import BadData
from tasks.datasets.fingerprint import fingerprint, plain

_DAYS = {pa.date32(): pa.int32(), pa.date64(): pa.int64()}
_FIRST, _LAST = -719_162, 2_932_896  # the years 1 to 9999, in days since 1970
_MILLISECONDS_A_DAY = 86_400_000


def without_namesakes(table: pa.Table, used: Collection[str], where: str) -> pa.Table:
    """`table` without the columns that share a name, unless it is one of `used`: then `BadData` is raised."""
    shared = {name for name, times in Counter(table.column_names).items() if times > 1}
    if twice := sorted(shared.intersection(used)):
        raise BadData(f"{where} has several columns named {', '.join(twice)}: rename all but one")
    return _only(table, [place for place, name in enumerate(table.column_names) if name not in shared])


def without_unkeepable(table: pa.Table, used: Collection[str]) -> pa.Table:
    """`table` without the columns of a type that no snapshot can hold, unless they are in `used`.

    Raises `BadData` for a used column with dates that Python does not know; what else cannot be kept of those tells the
    snapshot.
    """
    keep = []
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if name not in used:
            keep += [place] if _has_known_dates(column) and _can_be_kept(column) else []
            continue
        if not _has_known_dates(column):
            raise BadData(f"column {name!r} holds dates outside the years 1 to 9999: correct them at the source")
        keep.append(place)
    return _only(table, keep)


def _only(table: pa.Table, places: list[int]) -> pa.Table:
    return table if len(places) == table.num_columns else table.select(places)


def _has_known_dates(column: pa.ChunkedArray) -> bool:
    if column.type not in _DAYS:
        return True
    per_day = _MILLISECONDS_A_DAY if pa.types.is_date64(column.type) else 1
    ends = pc.min_max(column.cast(_DAYS[column.type])).as_py()
    low, high = ends["min"], ends["max"]
    return low is None or (low // per_day >= _FIRST and high // per_day <= _LAST)


def _can_be_kept(column: pa.ChunkedArray) -> bool:
    """Its type alone decides: one row tells."""
    import pyarrow.parquet as pq

    try:
        sample = pa.table([plain(column.slice(0, 1))], names=["one"])
        fingerprint(sample)
        pq.write_table(sample, pa.BufferOutputStream())
    except (pa.ArrowException, BadData):
        return False
    return True
