"""Tensors as bytes after the JSON: the extension `binary_tensor_data` of the Open Inference Protocol V2.

Numbers are little-endian and close together, a BOOL is one byte, each element of BYTES is its length in four bytes and
then the text.
"""

from collections.abc import Iterable, Sequence
from itertools import islice
from struct import Struct
from typing import Any, Final

import numpy as np

from deployments.plurals import counted
from deployments.serving.codecs.content_decoding import check_made
from deployments.serving.input_validation import Unanswerable
from deployments.serving.memory_budget import numbers_take, texts_take

HEADER_LENGTH: Final = b"inference-header-content-length"
EXTENSION: Final = "binary_tensor_data"
_FORMATS = {
    "BOOL": "|u1",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}
_DTYPES = {name: np.dtype(code) for name, code in _FORMATS.items()}
_LENGTH = Struct("<I")


class Tail:
    """The bytes after the JSON of a request; tensors take theirs in turn. `made` is what is made of all, at most."""

    def __init__(self, content: memoryview) -> None:
        self._left = content
        self.made = 0

    def take(self, size: int) -> memoryview:
        """The next `size` bytes. Raises `Unanswerable`, 400, if there are not as many."""
        if size > len(self._left):
            raise Unanswerable(400, "the tensors' binary_data_size add up to more than follows the JSON")
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def make(self, datatype: str, count: int, content: memoryview) -> None:
        """Raises `Unanswerable`, 413, where more would be made of the request with these values than it may take."""
        self.made += texts_take(count, content) if datatype == "BYTES" else numbers_take(count)
        check_made(self.made)

    def close(self) -> None:
        """Raises `Unanswerable`, 400, if something is left."""
        if len(self._left):
            raise Unanswerable(400, "more follows the JSON than the tensors' binary_data_size add up to")


def split_body(body: bytes, header_length: bytes | None) -> tuple[memoryview, Tail]:
    """The JSON of a request, as long as the header says, or all of it without the header; and what comes after it."""
    view = memoryview(body)
    if header_length is None:
        return view, Tail(view[len(view) :])
    if not header_length.isdigit() or len(header_length) > 18 or not 0 < int(header_length) <= len(view):
        raise Unanswerable(400, "Inference-Header-Content-Length must be the length of the JSON, at most of the body")
    length = int(header_length)
    return view[:length], Tail(view[length:])


def values_in(content: memoryview, datatype: str, count: int, what: str) -> "Sequence[str] | np.ndarray":
    """`count` values: texts of BYTES, else an array over `content` itself.

    Raises `Unanswerable`, 422, that names `what`.
    """
    if datatype == "BYTES":
        return _texts_in(content, count, what)
    dtype = _DTYPES[datatype]
    if len(content) != count * dtype.itemsize:
        values_are = counted(count, f"value of {datatype} is", f"values of {datatype} are")
        raise Unanswerable(422, f"{what}: {values_are} {counted(count * dtype.itemsize, 'byte')}")
    values = np.frombuffer(content, dtype)
    return values != 0 if datatype == "BOOL" else values


def bytes_of(values: "np.ndarray[Any, Any] | Sequence[Any]", datatype: str) -> bytes:
    """The same, for an answer: numbers or truth values, or texts if `datatype` is BYTES."""
    if datatype == "BYTES":
        texts = values.tolist() if isinstance(values, np.ndarray) else values
        packed = {text: _packed(str(text).encode()) for text in set(texts)}
        return b"".join(map(packed.__getitem__, texts))
    return np.asarray(values, _DTYPES[datatype]).tobytes()


def _texts_in(content: memoryview, count: int, what: str) -> list[str]:
    try:
        texts = list(islice(_each_text(content), count + 1))
    except UnicodeDecodeError:
        raise Unanswerable(422, f"{what}: its text is not UTF-8") from None
    except (ValueError, LookupError):
        raise Unanswerable(422, f"{what}: a length in its bytes goes beyond their end") from None
    if len(texts) != count:
        held = counted(len(texts), "element") if len(texts) < count else f"more than {counted(count, 'element')}"
        raise Unanswerable(422, f"{what}: its bytes hold {held}, its shape {count}")
    return texts


def _each_text(content: memoryview) -> Iterable[str]:
    position, end = 0, len(content)
    while position < end:
        start = position + 4
        if start > end:
            raise LookupError
        position = start + _LENGTH.unpack_from(content, position)[0]
        if position > end:
            raise LookupError
        yield str(content[start:position], "utf-8")


def _packed(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text
