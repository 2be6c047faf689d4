"""Immutable copies of what was read, named by their fingerprint."""

import difflib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from deployments.atomic_files import write_atomically
from deployments.errors import BadData, NotFound
from tasks.datasets.fingerprint import fingerprint, plain
from tasks.datasets.source import TEXT_OF, describe, read_rows
from tasks.datasets.time_windows import rows_within, span, with_moments
from tasks.datasets.unused_columns import without_unkeepable
from tasks.product_spec import ProductSpec, Window

if TYPE_CHECKING:
    import pandas as pd

# Parquet has no such types; stored as the type beside them, they come back as they went in.
_EXACT = 2**53  # the whole numbers up to here are all floats
_STORED_AS = {
    pa.time32("s"): pa.time32("ms"),
    pa.date64(): pa.date32(),
    # Whole numbers are the same whatever room a file gives them.
    **dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.uint8(), pa.uint16(), pa.uint32()), pa.int64()),
}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One immutable copy: where it is and what it holds.

    `columns` are (name, Arrow type) in order; `memory_mb` is what the table takes in memory (10^6 bytes); `start` and
    `end` are the moments of the oldest and the newest row, None without a time column.
    """

    product: str
    fingerprint: str
    path: Path
    rows: int
    columns: tuple[tuple[str, str], ...]
    memory_mb: float
    start: datetime | None
    end: datetime | None


def take_snapshot(spec: ProductSpec, folder: Path, window: Window | None = None) -> Snapshot:
    """Reads the source and keeps the rows of the window as `<folder>/<product>/<fingerprint>.parquet`, read-only.

    `window` takes the place of the spec's. All columns are kept, the time column as UTC; but those that the spec does
    not use only where they can be. Doing it again gives the same
    snapshot: a whole file is used as it is, a damaged one replaced. Raises `BadData`, `SourceUnreachable`, `DiskFull`.
    """
    table, texts = _apart(_chosen_rows(spec, window))
    table = _storable(table)
    digest = fingerprint(table)
    path = folder / spec.product / f"{digest}.parquet"
    if not _holds(path, digest):
        write_atomically(path, _as_parquet(table), mode=0o400)
    if texts.num_columns:
        write_atomically(_place_of_texts(path), _as_parquet(texts), mode=0o400)
    time = spec.data.time_column
    start, end = span(table, time) if time else (None, None)
    columns = tuple((field.name, str(field.type).removeprefix("large_")) for field in table.schema)
    return Snapshot(spec.product, digest, path, table.num_rows, columns, round(table.nbytes / 1e6, 1), start, end)


def load_snapshot(snapshot: Snapshot) -> "pd.DataFrame":
    """All rows of a snapshot. Raises `NotFound` if its file is gone and `BadData` if it is damaged."""
    return load_rows(snapshot.path)


def load_rows(path: Path) -> "pd.DataFrame":
    """All rows of the snapshot file `path`. Raises `NotFound` if it is gone and `BadData` if it is damaged."""
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise NotFound(f"the snapshot {path} is gone: ingest the data again") from None
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"the snapshot {path} is damaged: ingest the data again, which replaces it") from error
    return _as_frame(table)


def load_texts(path: Path) -> "pd.DataFrame | None":
    """The features in the rows of the snapshot file `path` as the source wrote them, row by row; None if it was typed.

    An empty text is what the source had there.
    """
    import pyarrow.parquet as pq

    try:
        texts: pd.DataFrame = pq.ParquetFile(_place_of_texts(path)).read().to_pandas()
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError) as error:
        raise BadData(f"the text of {path} is damaged: ingest the data again, which replaces it") from error
    return texts


def _place_of_texts(path: Path) -> Path:
    return path.parent / "texts" / path.name


def _apart(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The columns, and those that hold the text of others."""
    texts = [name for name in table.column_names if name.startswith(TEXT_OF)]
    named = [name.removeprefix(TEXT_OF) for name in texts]
    return table.drop_columns(texts), table.select(texts).rename_columns(named)


def _as_frame(table: pa.Table) -> "pd.DataFrame":
    """Whole numbers with gaps are floats in pandas, unless that would lose a digit."""
    import pandas as pd

    kinds = {pa.int64(): pd.Int64Dtype(), pa.uint64(): pd.UInt64Dtype()}
    frame: pd.DataFrame = table.to_pandas()
    for place, column in enumerate(table.columns):
        if column.type in kinds and column.null_count and _is_beyond_floats(column):
            frame.isetitem(place, column.to_pandas(types_mapper=kinds.get))
    return frame


def _is_beyond_floats(column: pa.ChunkedArray) -> bool:
    ends = pc.min_max(column)
    return any(abs(ends[end].as_py() or 0) > _EXACT for end in ("min", "max"))


def _chosen_rows(spec: ProductSpec, window: Window | None) -> pa.Table:
    data = spec.data
    used = required_columns(spec)
    table = without_unkeepable(read_rows(spec, used), used)
    _check_columns(table, spec)
    if not table.num_rows:
        raise BadData(f"{describe(data.source)} has columns but no row: check data.source")
    if data.time_column is not None:
        return rows_within(with_moments(table, data.time_column), data.time_column, window or data.window)
    if window is not None and window != Window():
        raise BadData(f"{spec.product} has no data.time_column, so no row is in or out of a window: name one")
    return table


def _check_columns(table: pa.Table, spec: ProductSpec) -> None:
    named = dict.fromkeys((*required_columns(spec), *spec.data.columns))
    absent = [name for name in named if name not in table.column_names]
    if not absent:
        return
    listed = ", ".join(_absent(name, spec, table.column_names) for name in absent)
    raise BadData(f"{describe(spec.data.source)} lacks {listed}: correct the spec or the source")


def required_columns(spec: ProductSpec) -> tuple[str, ...]:
    """Every column that the spec names, each once: target, time, key, features."""
    data = spec.data
    time = (data.time_column,) if data.time_column else ()
    return tuple(dict.fromkeys((data.target, *time, *data.key, *spec.preprocessing.features)))


def _absent(name: str, spec: ProductSpec, there: list[str]) -> str:
    role = {spec.data.time_column: "the time column ", spec.data.target: "the target "}.get(name, "")
    by_lowercase = {column.lower(): column for column in there}
    near = difflib.get_close_matches(name.lower(), by_lowercase, n=1)
    return f"{role}{name!r}{f' (is it {by_lowercase[near[0]]!r}?)' if near else ''}"


def _storable(table: pa.Table) -> pa.Table:
    """`table` in the form in which Parquet gives it back, without the traces of whoever wrote it."""
    columns = [_stored(plain(column)) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _stored(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit != "us":
        try:
            return column.cast(pa.timestamp("us", kind.tz))
        except pa.ArrowInvalid:
            return column
    return column.cast(_STORED_AS[kind]) if kind in _STORED_AS else column


def _holds(path: Path, digest: str) -> bool:
    import pyarrow.parquet as pq

    try:
        return fingerprint(pq.ParquetFile(path).read()) == digest
    except (pa.ArrowException, OSError):
        return False


def _as_parquet(table: pa.Table) -> bytes:
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    try:
        pq.write_table(table, sink, compression="zstd")
    except pa.ArrowNotImplementedError as error:
        raise BadData(f"a column cannot be kept as Parquet ({error}): leave it out at the source") from error
    content: bytes = sink.getvalue().to_pybytes()
    return content
