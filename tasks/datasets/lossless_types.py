"""Text of a CSV file as typed values, only where nothing of it is lost.

What a reader guesses hangs on the rows that a file holds. So a column is typed only if its values, written back, are
its text: `1067` may be a number there, `01067` may not. Two texts are then never one value, but for truth values.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

_WHOLE: Final = r"^(0|-?[1-9][0-9]*)$"


def without(text: pa.ChunkedArray, nulls: frozenset[str]) -> pa.ChunkedArray:
    """The same with null where the text is a word for it."""
    missing = pc.is_in(text, value_set=pa.array(sorted(nulls), text.type))
    return pc.if_else(missing, pa.scalar(None, text.type), text)


def without_loss(column: pa.ChunkedArray, text: pa.ChunkedArray) -> pa.ChunkedArray:
    """The typed column where its values, written back, are the text; else the text."""
    kind = column.type
    if pa.types.is_null(kind) or text.null_count == len(text):
        return pa.chunked_array([pa.nulls(len(text), pa.null())])
    distinct = pc.unique(text).drop_null().to_pylist()
    typed = None
    if all(each.lower() in {"true", "false"} for each in distinct):
        typed = pa.chunked_array([mapped(text, {each: each.lower() == "true" for each in distinct}, pa.bool_())])
    elif pa.types.is_floating(kind):
        typed = whole_numbers(text) or _floats(text, distinct)
    elif pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        written = pc.all(pc.fill_null(pc.equal(column.cast(text.type), text), True)).as_py()
        typed = column if written and column.null_count == text.null_count else None
    return text if typed is None else typed


def _floats(text: pa.ChunkedArray, distinct: Sequence[str]) -> pa.ChunkedArray | None:
    numbers = {each: _as_written(each) for each in distinct}
    if any(number is None for number in numbers.values()):
        return None
    return pa.chunked_array([mapped(text, numbers, pa.float64())])


def _as_written(text: str) -> float | None:
    """The float that Python writes so."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if repr(number) == text and math.isfinite(number) and text != "-0.0" else None


def whole_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Integers of 64 bits; None if some text is none, as it would be written."""
    if not pc.all(pc.fill_null(pc.match_substring_regex(text, _WHOLE), True)).as_py():
        return None
    for kind in (pa.int64(), pa.uint64()):
        try:
            return text.cast(kind)
        except pa.ArrowInvalid:
            continue
    return None


def mapped(column: pa.ChunkedArray, meant: Mapping[str, Any], kind: pa.DataType) -> pa.Array:
    """What each text means, null for null; every distinct one is looked up once."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks) if encoded.num_chunks != 1 else encoded.chunk(0)
    values = pa.array([None if text is None else meant[text] for text in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)
