"""A SHA-256 over the whole content of a table: one changed cell always changes it.

Equal content gives an equal fingerprint however it is held: in one chunk or many, as a slice, with dictionary-encoded
columns, as string or large_string, with whatever bytes under a null. Names, order and types of columns and the order of
rows are content. Floats count by their bits: 0.0 and -0.0 differ.
"""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deployments.errors import BadData

_VERSION = b"seatrial table 1"


def fingerprint(table: pa.Table) -> str:
    """64 hex digits. Raises `BadData` for a column of a type that has no canonical bytes (unions, run-ends)."""
    digest = hashlib.sha256(_VERSION)
    _add_count(digest, table.num_rows)
    _add_count(digest, table.num_columns)
    for name, column in zip(table.column_names, table.columns, strict=True):
        _add_text(digest, name)
        digest.update(_column_digest(name, column))
    return digest.hexdigest()


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values without an encoding: dictionaries looked up, texts as large_string, bytes as large_binary."""
    kind = _plain_type(column.type)
    return column if kind == column.type else column.cast(kind)


def _plain_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary(kind) or pa.types.is_binary_view(kind):
        return pa.large_binary()
    return kind


def _column_digest(name: str, column: pa.ChunkedArray) -> bytes:
    digest = hashlib.sha256()
    values = plain(column)
    _add_text(digest, str(values.type))
    try:
        _add_array(digest, _one_array(values))
    except (pa.ArrowNotImplementedError, TypeError, ValueError) as error:
        raise BadData(f"column {name!r} has the type {column.type}: store it as numbers, text or times") from error
    return digest.digest()


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    match column.num_chunks:
        case 0:
            return pa.array([], type=column.type)
        case 1:
            return column.chunk(0)
        case _:
            return pa.concat_arrays(column.chunks)


def _add_array(digest: Any, array: pa.Array) -> None:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    _add_count(digest, len(array))
    _add_count(digest, array.null_count)
    if pa.types.is_null(array.type):
        return
    if array.null_count:
        _add_bits(digest, array.is_valid())
    _add_values(digest, array)


def _add_values(digest: Any, array: pa.Array) -> None:
    kind = array.type
    if pa.types.is_struct(kind):
        for field, values in zip(kind, array.flatten(), strict=True):
            _add_text(digest, field.name)
            _add_array(digest, _one_array(plain(pa.chunked_array([values]))))
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        _add_texts(digest, array)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        _add_numbers(digest, pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64()))
        _add_array(digest, _one_array(plain(pa.chunked_array([array.flatten()]))))
    elif pa.types.is_boolean(kind):
        _add_bits(digest, _without_garbage(array))
    else:
        _add_numbers(digest, _without_garbage(array))


def _without_garbage(array: pa.Array) -> pa.Array:
    """Zero bytes under every null, where any bytes may stand."""
    if not array.null_count:
        return array
    width = array.type.bit_width // 8
    zero = pa.Array.from_buffers(array.type, 1, [None, pa.py_buffer(bytes(max(1, width)))])
    return pc.if_else(array.is_valid(), array, zero[0])


def _add_texts(digest: Any, array: pa.Array) -> None:
    if array.null_count:
        array = pc.fill_null(array, b"" if pa.types.is_large_binary(array.type) else "")
    _, offsets, content = array.buffers()
    if not len(array):
        return
    bounds = np.frombuffer(offsets, dtype=np.int64, count=len(array) + 1, offset=array.offset * 8)
    digest.update(np.diff(bounds).astype("<i8", copy=False).data)
    if content is not None:
        digest.update(memoryview(content)[bounds[0] : bounds[-1]])


def _add_bits(digest: Any, array: pa.Array) -> None:
    digest.update(np.packbits(array.to_numpy(zero_copy_only=False)).data)


def _add_numbers(digest: Any, array: pa.Array) -> None:
    width = array.type.bit_width // 8
    content = array.buffers()[1]
    if content is not None:
        start = array.offset * width
        digest.update(memoryview(content)[start : start + len(array) * width])


def _add_text(digest: Any, text: str) -> None:
    encoded = text.encode()
    _add_count(digest, len(encoded))
    digest.update(encoded)


def _add_count(digest: Any, count: int) -> None:
    digest.update(count.to_bytes(8, "little"))
