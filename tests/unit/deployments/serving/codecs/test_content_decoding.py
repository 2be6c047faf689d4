import gzip
import zlib

import pytest

from deployments.serving.codecs.content_decoding import media_type, parsed_with_nan, unpacked
from deployments.serving.input_validation import Unanswerable

PLAIN = b'{"instances": [[1]]}' * 50
# Without the time of day: tests are named after their parameters, and every worker must find the same ones.
GZIPPED = gzip.compress(PLAIN, mtime=0)
GZIPPED_TWICE = gzip.compress(GZIPPED, mtime=0)
LIMIT = len(PLAIN)


@pytest.mark.parametrize(
    ("value", "kind", "parameters"),
    [
        (b"application/json", b"application/json", set()),
        (b"Application/JSON; Charset=UTF-8", b"application/json", set()),
        (b'text/csv;charset="utf-8"; header=present', b"text/csv", {b"header"}),
        (b"", b"", set()),
        (b";", b"", set()),
    ],
)
def test_a_media_type_is_read_whatever_its_case(value: bytes, kind: bytes, parameters: set[bytes]) -> None:
    assert media_type({b"content-type": value}) == (kind, parameters)


def test_a_request_without_a_content_type_has_none() -> None:
    assert media_type({}) == (b"", frozenset())


def test_another_charset_is_415() -> None:
    with pytest.raises(Unanswerable, match="UTF-8") as refused:
        media_type({b"content-type": b"text/csv; charset=latin-1"})
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", GZIPPED),
        (b"GZIP", GZIPPED),
        (b"x-gzip", GZIPPED),
        (b"deflate", zlib.compress(PLAIN)),
        (b"identity", PLAIN),
        (b"", PLAIN),
    ],
)
def test_a_compressed_body_is_unpacked(coding: bytes, body: bytes) -> None:
    assert unpacked({b"content-encoding": coding}, body, LIMIT) == PLAIN


@pytest.mark.parametrize(
    ("coding", "body", "status", "said"),
    [
        (b"br", PLAIN, 415, "gzip or deflate"),
        (b"gzip, gzip", GZIPPED_TWICE, 415, "gzip or deflate"),
        (b"gzip", PLAIN, 400, "not compressed as"),
        (b"gzip", b"", 400, "cut off"),
        (b"gzip", GZIPPED[:-1], 400, "cut off"),
        (b"gzip", GZIPPED + b"x", 400, "goes on after its end"),
        (b"gzip", gzip.compress(PLAIN + b" ", mtime=0), 413, f"more than {LIMIT} bytes"),
    ],
)
def test_a_body_that_does_not_unpack_is_refused(coding: bytes, body: bytes, status: int, said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        unpacked({b"content-encoding": coding}, body, LIMIT)
    assert refused.value.status == status


def test_a_bomb_is_not_unpacked_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    bomb = gzip.compress(b"0" * 50_000_000)
    tracemalloc.start()
    with pytest.raises(Unanswerable, match="unpacks to more"):
        unpacked({b"content-encoding": b"gzip"}, bomb, 100_000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_nan_counts_as_null_but_not_within_a_text() -> None:
    assert parsed_with_nan(b'{"a": [NaN, 1], "NaN": "\\" NaN, NaN", "b":NaN}') == {
        "a": [None, 1],
        "NaN": '" NaN, NaN',
        "b": None,
    }


@pytest.mark.parametrize(
    "body",
    [b"[Infinity]", b"[-Infinity, NaN]", b"[NaN", b'["NaN]', b"[-NaN]", b'{NaN: "NaN"}', b'"' + b'\\"NaN' * 30_000],
)
def test_what_is_no_json_with_nan_either_is_refused(body: bytes) -> None:
    with pytest.raises(Unanswerable, match="not JSON") as refused:
        parsed_with_nan(body)
    assert refused.value.status == 400
