"""Columns as the spec declares them, or as it uses them; one that it does neither keeps the type of its source."""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from deployments.columns import USUAL_NULLS, Meaning, number_in, text_of
from deployments.errors import BadData
from deployments.plurals import counted
from tasks.datasets.fingerprint import plain
from tasks.datasets.lossless_types import mapped, whole_numbers, without, without_loss
from tasks.product_spec import ColumnType, ProductSpec
from tasks.spec_columns import meaning_of

# A CSV file may hold these as categories: only servers and pandas take them for a missing value.
_WORDS_IN_FILES: Final = USUAL_NULLS - {"None", "<NA>"}
_MOMENT: Final = pa.timestamp("us", "UTC")
Read = Callable[[str], Any]


def columns_to_keep_as_text(spec: ProductSpec) -> frozenset[str]:
    """Those of which a CSV file's own text is needed."""
    categorical = spec.preprocessing.categorical.columns if spec.preprocessing.categorical else ()
    return frozenset((*spec.data.columns, *spec.preprocessing.features, *categorical, *spec.data.key))


def with_meaning(table: pa.Table, texts: Mapping[str, pa.ChunkedArray], spec: ProductSpec) -> pa.Table:
    """`table` with the columns that the spec declares or uses as they are meant.

    `texts` are columns as a CSV file has them, without nulls; empty for another source. Raises `BadData` for a value
    that cannot be read as it is declared, by its column, its row and how many there are.
    """
    categorical = spec.preprocessing.categorical.columns if spec.preprocessing.categorical else ()
    for place, name in enumerate(table.column_names):
        column, text = plain(table.column(place)), texts.get(name)
        if name in spec.data.columns:
            column = _declared(column if text is None else text, name, spec)
        elif text is not None and name not in {spec.data.time_column, spec.data.target}:
            if name in categorical or name in spec.data.key:
                column = without_loss(column, without(text, _words(spec)))
            elif pa.types.is_large_string(column.type):
                column = _numbers_if_all_are(column, text, meaning_of(name, spec.data))
        table = table.set_column(place, name, column)
    return table


def _declared(column: pa.ChunkedArray, name: str, spec: ProductSpec) -> pa.ChunkedArray:
    """Raises `BadData`."""
    meaning, declared = meaning_of(name, spec.data), spec.data.columns[name]
    if pa.types.is_large_string(column.type):
        if declared.type is ColumnType.CATEGORY:
            return without(column, _words(spec) if declared.nulls is None else meaning.nulls)
        if declared.type is ColumnType.NUMBER and (whole := whole_numbers(without(column, meaning.nulls))) is not None:
            return whole
        kind, read = _READ[declared.type]
        return _each(column, kind, lambda text: read(text, meaning), name, declared.type)
    if declared.type is ColumnType.CATEGORY:
        return _as_texts(column)
    if declared.type is ColumnType.BOOLEAN and _is_numeric(column.type):
        return _each(_as_texts(column), pa.bool_(), lambda text: _truth(text, meaning), name, declared.type)
    if not pa.types.is_null(column.type) and not _FITS[declared.type](column.type):
        problem = f"column {name!r} is declared as {declared.type.value} and holds {column.type}"
        raise BadData(f"{problem}: correct data.columns.{name}")
    return column


def _words(spec: ProductSpec) -> frozenset[str]:
    """What is missing in a category where the file says nothing else."""
    nulls = spec.data.source.nulls
    return _WORDS_IN_FILES if nulls is None else frozenset(nulls)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _numbers_if_all_are(column: pa.ChunkedArray, text: pa.ChunkedArray, meaning: Meaning) -> pa.ChunkedArray:
    try:
        numbers = {each: _number(each, meaning) for each in pc.unique(text).to_pylist()}
    except ValueError:
        return column
    return pa.chunked_array([mapped(text, numbers, pa.float64())])


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Typed values as the categories that they are; floats of fewer bits as a person would write them."""
    values = column.to_pylist()
    if pa.types.is_floating(column.type) and column.type.bit_width < 64:
        as_kept = column.type.to_pandas_dtype()
        values = [None if value is None else float(str(as_kept(value))) for value in values]
    texts = [None if value is None else text_of(value) for value in values]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _number(text: str, meaning: Meaning) -> float | None:
    number = number_in(text, meaning)
    return None if math.isnan(number) else number


def _truth(text: str, meaning: Meaning) -> bool | None:
    if text in meaning.nulls:
        return None
    truth = meaning.truth(text)
    if truth is None:
        raise ValueError
    return truth


def _moment(text: str, meaning: Meaning) -> datetime | None:
    if text in meaning.nulls:
        return None
    moment = datetime.strptime(text, meaning.format) if meaning.format else datetime.fromisoformat(text)  # noqa: DTZ007
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _each(column: pa.ChunkedArray, kind: pa.DataType, read: Read, name: str, wanted: ColumnType) -> pa.ChunkedArray:
    """Each text read, every distinct one once. Raises `BadData` for those that cannot be."""
    meant: dict[str, Any] = {}
    unreadable: list[str] = []
    for text in pc.unique(column).drop_null().to_pylist():
        try:
            meant[text] = read(text)
        except (ValueError, OverflowError):
            unreadable.append(text)
    if unreadable:
        where = pc.is_in(column, value_set=pa.array(unreadable, column.type))
        first = pc.index(where, pa.scalar(True)).as_py() + 1
        raise BadData(
            f"column {name!r} is declared as {wanted.value}, and {pc.sum(where).as_py():,} of "
            f"{counted(len(column), 'value')} cannot be read so, the first in row {first:,}: "
            f"repair them, or correct data.columns.{name}"
        )
    return pa.chunked_array([mapped(column, meant, kind)])


_READ: Final[Mapping[ColumnType, tuple[pa.DataType, Callable[[str, Meaning], Any]]]] = {
    ColumnType.NUMBER: (pa.float64(), _number),
    ColumnType.BOOLEAN: (pa.bool_(), _truth),
    ColumnType.TIME: (_MOMENT, _moment),
}
_FITS: Final[Mapping[ColumnType, Callable[[pa.DataType], bool]]] = {
    ColumnType.NUMBER: lambda kind: _is_numeric(kind) or bool(pa.types.is_boolean(kind)),
    ColumnType.BOOLEAN: lambda kind: bool(pa.types.is_boolean(kind)),
    ColumnType.TIME: lambda kind: bool(pa.types.is_temporal(kind)),
}
