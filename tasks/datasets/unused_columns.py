"""Columns that nothing in the spec uses, and that cannot be kept: they are left out, for nobody would miss them."""

from collections import Counter
from collections.abc import Collection

import pyarrow as pa

from deployments.errors import BadData
from tasks.datasets.fingerprint import fingerprint, plain

# Of what is in these, Python has every value; dates, and moments inside lists, may lie beyond its years 1 to 9999.
_PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_large_string,
    pa.types.is_large_binary,
    pa.types.is_timestamp,
    pa.types.is_null,
)


def without_namesakes(table: pa.Table, used: Collection[str], where: str) -> pa.Table:
    """`table` without the columns that share a name, unless it is one of `used`: then `BadData` is raised."""
    shared = {name for name, times in Counter(table.column_names).items() if times > 1}
    if twice := sorted(shared.intersection(used)):
        raise BadData(f"{where} has several columns named {', '.join(twice)}: rename all but one")
    return _only(table, [place for place, name in enumerate(table.column_names) if name not in shared])


def without_unkeepable(table: pa.Table, used: Collection[str]) -> pa.Table:
    """`table` without the columns of a type that no snapshot can hold, unless they are in `used`.

    Raises `BadData` for a used column with a date that Python does not know; whether it can be kept tells the snapshot.
    """
    keep = []
    for place, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if name not in used:
            keep += [place] if _is_known_to_python(column) and _can_be_kept(column) else []
            continue
        if not _is_known_to_python(column):
            raise BadData(f"column {name!r} holds dates outside the years 1 to 9999: correct them at the source")
        keep.append(place)
    return _only(table, keep)


def _only(table: pa.Table, places: list[int]) -> pa.Table:
    return table if len(places) == table.num_columns else table.select(places)


def _is_known_to_python(column: pa.ChunkedArray) -> bool:
    values = column if pa.types.is_map(column.type) else plain(column)
    if any(holds(values.type) for holds in _PLAIN):
        return True
    try:
        values.to_pandas()
    except (pa.ArrowException, ValueError, OverflowError):
        return False
    return True


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
