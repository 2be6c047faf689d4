"""Columns as they are declared, or as they are used: text becomes something else only where nothing of it is lost.

A column that nobody declares keeps the type of its source. Of a CSV file, whose types are guesses, categories and keys
stay text unless writing the typed value back gives the same text: `1067` may be a number there, `01067` may not.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from deployments.columns import USUAL_NULLS, Meaning, number_in, text_of
from deployments.errors import BadData
from tasks.columns import meaning_of
from tasks.datasets.fingerprint import plain
from tasks.spec import ColumnType, ProductSpec

# A CSV file may hold these as categories: only servers and pandas take them for a missing value.
_WORDS_IN_FILES: Final = USUAL_NULLS - {"None", "<NA>"}
_WHOLE: Final = r"^(0|-?[1-9][0-9]*)$"
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
        elif text is not None and name != spec.data.time_column and name != spec.data.target:
            meaning = meaning_of(name, spec.data)
            if name in categorical or name in spec.data.key:
                words = _WORDS_IN_FILES if spec.data.source.nulls is None else meaning.nulls
                column = _without_loss(column, _without(text, words))
            elif pa.types.is_large_string(column.type):
                column = _numbers_if_all_are(column, text, meaning)
        table = table.set_column(place, name, column)
    return table


def _declared(column: pa.ChunkedArray, name: str, spec: ProductSpec) -> pa.ChunkedArray:
    meaning, kind = meaning_of(name, spec.data), spec.data.columns[name].type
    is_text = pa.types.is_large_string(column.type) or pa.types.is_string(column.type)
    match kind:
        case ColumnType.CATEGORY:
            return _categories(column, meaning, is_text, spec.data.columns[name].nulls is None)
        case ColumnType.NUMBER:
            if is_text:
                return _read_whole(column, meaning) or _each(
                    column, pa.float64(), lambda t: _number(t, meaning), name, kind
                )
            if _is_numeric(column.type) or pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
                return column
        case ColumnType.BOOLEAN:
            if is_text:
                return _each(column, pa.bool_(), lambda text: _truth(text, meaning), name, kind)
            if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
                return column
            if _is_numeric(column.type):
                return _each(_as_texts(column), pa.bool_(), lambda text: _truth(text, meaning), name, kind)
        case ColumnType.TIME:
            if is_text:
                return _each(column, _MOMENT, lambda text: _moment(text, meaning), name, kind)
            if pa.types.is_temporal(column.type) or pa.types.is_null(column.type):
                return column
    raise BadData(f"column {name!r} is declared as {kind.value} and holds {column.type}: correct data.columns.{name}")


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _without(text: pa.ChunkedArray, nulls: frozenset[str]) -> pa.ChunkedArray:
    """The same with null where the text is a word for it."""
    missing = pc.is_in(text, value_set=pa.array(sorted(nulls), text.type))
    return pc.if_else(missing, pa.scalar(None, text.type), text)


def _without_loss(column: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.ChunkedArray:
    """The typed column where its values, written back, are the text; else the text."""
    kind = column.type
    if pa.types.is_null(kind) or text.null_count == len(text):
        return pa.chunked_array([pa.nulls(len(text), pa.null())])
    distinct = pc.unique(text).drop_null().to_pylist()
    if all(each.lower() in {"true", "false"} for each in distinct):
        return pa.chunked_array([_mapped(text, {each: each.lower() == "true" for each in distinct}, pa.bool_())])
    if pa.types.is_floating(kind):
        if whole := _whole_numbers(text):
            return whole
        numbers = {each: _as_written(each) for each in distinct}
        if all(number is not None for number in numbers.values()):
            return pa.chunked_array([_mapped(text, numbers, pa.float64())])
        return text
    if pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        written = pc.equal(column.cast(text.type), text)
        same = column.null_count == text.null_count and pc.all(pc.fill_null(written, True)).as_py()
        return column if same else text
    return text


def _as_written(text: str) -> float | None:
    """The float that Python writes so."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if repr(number) == text and math.isfinite(number) and text != "-0.0" else None


def _whole_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Integers of 64 bits; None if some text is none, as it would be written."""
    if not pc.all(pc.fill_null(pc.match_substring_regex(text, _WHOLE), True)).as_py():
        return None
    for kind in (pa.int64(), pa.uint64()):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def _numbers_if_all_are(column: pa.ChunkedArray, text: pa.ChunkedArray, meaning: Meaning) -> pa.ChunkedArray:
    try:
        numbers = {each: _number(each, meaning) for each in pc.unique(text).to_pylist()}
    except ValueError:
        return column
    return pa.chunked_array([_mapped(text, numbers, pa.float64())])


def _categories(column: pa.ChunkedArray, meaning: Meaning, is_text: bool, usual: bool) -> pa.ChunkedArray:
    nulls = _WORDS_IN_FILES if usual and meaning.nulls == USUAL_NULLS else meaning.nulls
    return _without(column, nulls) if is_text else _as_texts(column)


def _as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Typed values as the categories that they are; floats of fewer bits as a person would write them."""
    values = column.to_pylist()
    if pa.types.is_floating(column.type) and column.type.bit_width < 64:
        as_kept = column.type.to_pandas_dtype()
        values = [None if value is None else float(str(as_kept(value))) for value in values]
    texts = [None if value is None else text_of(value) for value in values]
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _read_whole(column: pa.ChunkedArray, meaning: Meaning) -> pa.ChunkedArray | None:
    return _whole_numbers(_without(column, meaning.nulls))


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
            f"column {name!r} is declared as {wanted.value}, and {pc.sum(where).as_py():,} of {len(column):,} values "
            f"cannot be read so, the first in row {first:,}: repair them, or correct data.columns.{name}"
        )
    return pa.chunked_array([_mapped(column, meant, kind)])


def _mapped(column: pa.ChunkedArray, meant: Mapping[str, Any], kind: pa.DataType) -> pa.Array:
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks != 1 else encoded.chunk(0)
    values = pa.array([None if text is None else meant[text] for text in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)
