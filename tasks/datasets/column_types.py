"""Columns as the spec declares them, or as it uses them; one that it does neither keeps the type of its source."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from deployments.columns import USUAL_NULLS, Meaning, number_in, text_of
from deployments.errors import BadData
from deployments.plurals import counted
from tasks.datasets.fingerprint import plain
from tasks.datasets.lossless_types import mapped, whole_numbers, without, without_loss
from tasks.problem_types import TaskKind
from tasks.product_spec import ColumnSection, ColumnType, DataSection, ProductSpec, Source
from tasks.spec_columns import meaning_declared, meaning_of

# A CSV file may hold these as categories: only servers and pandas take them for a missing value.
_WORDS_IN_FILES: Final = USUAL_NULLS - {"None", "<NA>"}
# Of what cannot be read: so many values, and so much of each.
_MOST_SHOWN: Final = 3
_LONGEST_SHOWN: Final = 30
_MOMENT: Final = pa.timestamp("us", "UTC")
Read = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Reading:
    """A column as it is declared, with null for each value that cannot be read so; and what that is, empty for none."""

    values: pa.ChunkedArray
    unreadable: str = ""


def columns_to_keep_as_text(spec: ProductSpec) -> frozenset[str]:
    """Those of which a CSV file's own text is needed."""
    return frozenset((*spec.data.columns, *spec.preprocessing.features, *spec.data.key, *_classes(spec)))


def with_meaning(table: pa.Table, texts: Mapping[str, pa.ChunkedArray], spec: ProductSpec) -> pa.Table:
    """`table` with the columns that the spec declares or uses as they are meant.

    `texts` are columns as a CSV file has them, without nulls; empty for another source. A column with a value that
    cannot be read as it is declared stays as it is, for the validation to tell; but raises `BadData` for such a time,
    without which no row is in or out of a window.
    """
    categorical = spec.preprocessing.categorical.columns if spec.preprocessing.categorical else ()
    as_they_stand = {*categorical, *spec.data.key, *_classes(spec)}
    for place, name in enumerate(table.column_names):
        column, text = plain(table.column(place)), texts.get(name)
        if name in spec.data.columns:
            column = column if text is None else text
            reading = as_declared(column, spec.data.columns[name], spec.data.source)
            if reading.unreadable and name == spec.data.time_column:
                raise BadData(f"time column {name!r} {reading.unreadable}: {remedy(name, spec.data)}")
            column = column if reading.unreadable else reading.values
        elif text is not None and name != spec.data.time_column:
            if name in as_they_stand:
                column = without_loss(column, without(text, _words(spec.data.source)))
            else:
                column = _as_number(column, text, meaning_of(name, spec.data), name == spec.data.target)
        table = table.set_column(place, name, column)
    return table


def as_declared(column: pa.ChunkedArray, declared: ColumnSection, source: Source) -> Reading:
    """A column of `source`, or its text, as it is declared."""
    if pa.types.is_large_string(column.type):
        return _text_as_declared(column, declared, source)
    meaning, kind = meaning_declared(declared, source), declared.type
    if kind is ColumnType.CATEGORY:
        return Reading(_as_texts(column))
    if kind is ColumnType.BOOLEAN and _is_numeric(column.type):
        return _each(_as_texts(column), pa.bool_(), lambda text: _truth(text, meaning), kind)
    if not pa.types.is_null(column.type) and not _FITS[kind](column.type):
        problem = f"is declared as {kind.value} and holds {column.type}"
        return Reading(pa.chunked_array([pa.nulls(len(column))]), problem)
    return Reading(column)


def _text_as_declared(column: pa.ChunkedArray, declared: ColumnSection, source: Source) -> Reading:
    meaning = meaning_declared(declared, source)
    if declared.type is ColumnType.CATEGORY:
        return Reading(without(column, _words(source) if declared.nulls is None else meaning.nulls))
    if declared.type is ColumnType.NUMBER and (whole := whole_numbers(without(column, meaning.nulls))) is not None:
        return Reading(whole)
    kind, read = _READ[declared.type]
    return _each(column, kind, lambda text: read(text, meaning), declared.type)


def remedy(name: str, data: DataSection) -> str:
    """What to do about a column of which something cannot be read as it is declared."""
    return f"repair it at the source, or correct data.columns.{name} ({_FIELDS[data.columns[name].type]})"


def _classes(spec: ProductSpec) -> tuple[str, ...]:
    """The target, if its values are names of classes: `01` and `1` are two."""
    return (spec.data.target,) if spec.model.task is TaskKind.CLASSIFICATION else ()


def _words(source: Source) -> frozenset[str]:
    """What is missing in a category where the file says nothing else."""
    return _WORDS_IN_FILES if source.nulls is None else frozenset(source.nulls)


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _as_number(column: pa.ChunkedArray, text: pa.ChunkedArray, meaning: Meaning, is_target: bool) -> pa.ChunkedArray:
    """Whole numbers keep every digit, also those that only fit without a sign."""
    if pa.types.is_floating(column.type) and (whole := whole_numbers(without(text, meaning.nulls))) is not None:
        return whole
    return (
        _numbers_if_all_are(column, text, meaning)
        if pa.types.is_large_string(column.type) and not is_target
        else column
    )


def _numbers_if_all_are(column: pa.ChunkedArray, text: pa.ChunkedArray, meaning: Meaning) -> pa.ChunkedArray:
    try:
        numbers = {each: _number(each, meaning) for each in pc.unique(text).to_pylist()}
    except ValueError:
        return column
    return pa.chunked_array([mapped(text, numbers, pa.float64())])


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Typed values as the categories that they are; floats of fewer bits as a person would write them."""
    values = [None if value != value else value for value in column.to_pylist()]  # noqa: PLR0124 - NaN is missing
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


def _each(column: pa.ChunkedArray, kind: pa.DataType, read: Read, wanted: ColumnType) -> Reading:
    """Each text read, every distinct one once."""
    meant: dict[str, Any] = {}
    unreadable: list[str] = []
    for text in pc.unique(column).drop_null().to_pylist():
        try:
            meant[text] = read(text)
        except (ValueError, OverflowError):
            unreadable.append(text)
    values = pa.chunked_array([mapped(column, meant | dict.fromkeys(unreadable), kind)])
    return Reading(values, f"is declared as {wanted.value}, and {_told(column, unreadable)}" if unreadable else "")


def _told(column: pa.ChunkedArray, unreadable: Sequence[str]) -> str:
    """How many cannot be read, the first few that differ, and where each stands first; rows count from 1."""
    many = pc.sum(pc.is_in(column, value_set=pa.array(unreadable, column.type))).as_py()
    shown = [
        f"{_shown(text)} in row {pc.index(column, pa.scalar(text, column.type)).as_py() + 1:,}"
        for text in unreadable[:_MOST_SHOWN]
    ]
    return f"{many:,} of {counted(len(column), 'value')} cannot be read so, such as {', '.join(shown)}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


_READ: Final[Mapping[ColumnType, tuple[pa.DataType, Callable[[str, Meaning], Any]]]] = {
    ColumnType.NUMBER: (pa.float64(), _number),
    ColumnType.BOOLEAN: (pa.bool_(), _truth),
    ColumnType.TIME: (_MOMENT, _moment),
}
_FIELDS: Final = {
    ColumnType.NUMBER: "its type, nulls, decimal or thousands",
    ColumnType.CATEGORY: "its type",
    ColumnType.BOOLEAN: "its type, nulls, or true and false",
    ColumnType.TIME: "its type, nulls or format",
}
_FITS: Final[Mapping[ColumnType, Callable[[pa.DataType], bool]]] = {
    ColumnType.NUMBER: lambda kind: _is_numeric(kind) or bool(pa.types.is_boolean(kind)),
    ColumnType.BOOLEAN: lambda kind: bool(pa.types.is_boolean(kind)),
    ColumnType.TIME: lambda kind: bool(pa.types.is_temporal(kind)),
}
