"""What a body is by its headers: its media type, its compression, and the JSON in it."""

import re
import zlib
from collections.abc import Callable
from typing import Any

import orjson

from deployments.serving.inference_request import Headers
from deployments.serving.input_validation import Unanswerable
from deployments.serving.memory_budget import MOST_MADE, SMALL_BYTES, json_takes

JSON, CSV, BINARY = b"application/json", b"text/csv", b"application/octet-stream"
_UTF_8 = frozenset({b"utf-8", b"utf8", b"us-ascii"})
_WINDOW_OF_CODING = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
# A text without an end matches too, so that no body is read more than once.
_NAN = re.compile(b"NaN")
_TEXT_OR_NAN = re.compile(rb'("(?:[^"\\]++|\\.)*+"?)|NaN', re.DOTALL)


def media_type(headers: Headers) -> tuple[bytes, frozenset[bytes]]:
    """Media type of a body, empty if the caller does not say, and the names of its parameters but `charset`.

    Raises `Unanswerable`, 415, for a charset other than UTF-8.
    """
    value = headers.get(b"content-type", b"")
    if value == JSON:
        return value, frozenset()
    kind, *pairs = (part.strip() for part in value.lower().split(b";"))
    parameters = {name.strip(): text.strip(b' "') for name, _, text in (pair.partition(b"=") for pair in pairs if pair)}
    if parameters.pop(b"charset", b"utf-8") not in _UTF_8:
        raise Unanswerable(415, "send the request in UTF-8")
    return kind, frozenset(parameters)


def unpacked(headers: Headers, body: bytes, limit: int) -> bytes:
    """The body without its `content-encoding`.

    Raises `Unanswerable`: 415 for an encoding other than gzip and deflate, 400 for a body that is not what it says,
    413 as soon as more than `limit` bytes come out.
    """
    coding = headers.get(b"content-encoding", b"").strip().lower()
    if coding in {b"", b"identity"}:
        return body
    if coding not in _WINDOW_OF_CODING:
        raise Unanswerable(415, "send the body as it is, or with content-encoding gzip or deflate")
    stream = zlib.decompressobj(_WINDOW_OF_CODING[coding])
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise Unanswerable(400, "the body is not compressed as its content-encoding says") from None
    if len(plain) > limit:
        raise Unanswerable(413, f"the request unpacks to more than {limit} bytes: send its rows in parts")
    if not stream.eof or stream.unused_data:
        raise Unanswerable(400, "the compressed body is cut off, or goes on after its end")
    return plain


def unpacks_beyond(headers: Headers, body: bytes, size: int) -> bool:
    """Whether more than `size` bytes come out of the body; of one that is broken, at its beginning."""
    try:
        return len(unpacked(headers, body, size)) > size
    except Unanswerable as error:
        return error.status == 413


def check_size(body: bytes | memoryview, takes: Callable[[Any], int] = json_takes) -> int:
    """How much is made of a large body, at most; 0 for a small one.

    Raises `Unanswerable`, 413, if that is more than one request may take.
    """
    made = takes(body) if len(body) > SMALL_BYTES else 0
    check_made(made)
    return made


def check_made(made: int) -> None:
    """Raises `Unanswerable`, 413, if so much is more than one request may take."""
    if made > MOST_MADE:
        raise Unanswerable(413, "the request holds too many values: send its rows in parts")


def parsed(body: bytes | memoryview) -> Any:
    """The JSON document in `body`. Raises `Unanswerable`: 400, or 413 for one that takes too much memory."""
    check_size(body)
    return loaded(body)


def loaded(body: bytes | bytearray | memoryview) -> Any:
    """The JSON document in a `body` of a size that was looked at. Raises `Unanswerable`, 400."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _no_json(error) from None


def parsed_with_nan(body: bytes | memoryview) -> Any:
    """The same, but `NaN`, which Python and pandas write into what they call JSON, counts as null."""
    check_size(body)
    return loaded_with_nan(body)


def loaded_with_nan(body: bytes | memoryview) -> Any:
    """The same of a body whose size was looked at."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if _NAN.search(body) is None:
            raise _no_json(error) from None
    return loaded(_with_null_for_nan(body))


def _with_null_for_nan(body: bytes | memoryview) -> bytearray:
    """`re.sub` would make a list of all that it finds first."""
    written, after = bytearray(), 0
    for found in _TEXT_OR_NAN.finditer(body):
        if found[1] is None:
            written += body[after : found.start()]
            written += b"null"
            after = found.end()
    written += body[after:]
    return written


def _no_json(error: orjson.JSONDecodeError) -> Unanswerable:
    return Unanswerable(400, f"the request is not JSON (at character {error.pos})")
