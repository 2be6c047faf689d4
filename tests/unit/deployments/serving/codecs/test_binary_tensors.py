import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.codecs.binary_tensors import bytes_of, split_body, values_in
from deployments.serving.input_validation import Unanswerable

NUMBERS = [*(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)), "FP16", "FP32", "FP64"]
HEAD = b'{"inputs":[]}'


def packed(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


@pytest.mark.parametrize("datatype", NUMBERS)
def test_numbers_are_little_endian_and_close_together(datatype: str) -> None:
    content = bytes_of([1, 2, 100], datatype)
    assert content == np.array([1, 2, 100], content_dtype(datatype)).tobytes()
    values = values_in(memoryview(content), datatype, 3, "column 'x'")
    assert isinstance(values, np.ndarray)
    assert values.tolist() == [1, 2, 100]


def content_dtype(datatype: str) -> str:
    kind = {"I": "i", "U": "u", "F": "f"}[datatype[0]]
    return f"<{kind}{int(datatype.lstrip('UINTFP')) // 8}"


def test_numbers_are_not_copied() -> None:
    content = bytearray(struct.pack("<2d", 1.0, 2.0))
    values = values_in(memoryview(content), "FP64", 2, "column 'x'")
    content[:8] = struct.pack("<d", 7.0)
    assert list(values) == [7.0, 2.0]


def test_any_byte_but_0_is_true() -> None:
    assert list(values_in(memoryview(b"\0\1\2"), "BOOL", 3, "column 'x'")) == [False, True, True]
    assert bytes_of([False, True], "BOOL") == b"\0\1"


@given(st.lists(st.text(max_size=5)))
def test_texts_have_their_length_in_front(texts: list[str]) -> None:
    content = packed(*(text.encode() for text in texts))
    assert bytes_of(texts, "BYTES") == content
    assert values_in(memoryview(content), "BYTES", len(texts), "column 'x'") == texts


@pytest.mark.parametrize(
    ("content", "datatype", "count", "said"),
    [
        (b"\0" * 15, "FP64", 2, "column 'x': 2 values of FP64 are 16 bytes"),
        (b"\0" * 17, "FP64", 2, "column 'x': 2 values"),
        (b"", "BOOL", 1, "column 'x': 1 value of BOOL is 1 byte"),
        (packed(b"s3cret"), "BYTES", 2, "column 'x': its bytes hold 1 element, its shape 2"),
        (packed(b"s3cret", b""), "BYTES", 1, "column 'x': its bytes hold more than 1 element,"),
        (packed(b"s3cret")[:-1], "BYTES", 1, "column 'x': a length in its bytes"),
        (b"\1\0\0", "BYTES", 1, "column 'x': a length in its bytes"),
        (b"\xff\xff\xff\xffs3cret", "BYTES", 1, "column 'x': a length in its bytes"),
        (packed(b"s3cret\xff"), "BYTES", 1, "column 'x': its text is not UTF-8"),
    ],
)
def test_bytes_that_are_not_what_the_tensor_says_are_refused(
    content: bytes, datatype: str, count: int, said: str
) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        values_in(memoryview(content), datatype, count, "column 'x'")
    assert refused.value.status == 422
    assert "s3cret" not in str(refused.value)


def test_a_body_is_json_and_then_the_bytes_of_tensors_in_turn() -> None:
    content, tail = split_body(HEAD + b"aabbb", b"%d" % len(HEAD))
    assert (content, tail.take(2), tail.take(0), tail.take(3)) == (HEAD, b"aa", b"", b"bbb")
    tail.close()


@pytest.mark.parametrize("length", [b"", b"0", b"-1", b"x", b"1e1", b"99", b"9" * 30, "٣".encode()])
def test_a_length_of_the_json_that_cannot_be_is_refused(length: bytes) -> None:
    with pytest.raises(Unanswerable, match="Inference-Header-Content-Length") as refused:
        split_body(HEAD, length)
    assert refused.value.status == 400


def test_too_few_and_too_many_bytes_after_the_json_are_refused() -> None:
    _, tail = split_body(HEAD + b"aa", b"%d" % len(HEAD))
    with pytest.raises(Unanswerable, match="more than follows"):
        tail.take(3)
    tail.take(1)
    with pytest.raises(Unanswerable, match="more follows"):
        tail.close()


@given(st.binary(max_size=40), st.sampled_from(["BYTES", "BOOL", *NUMBERS]), st.integers(0, 5))
def test_whatever_bytes_are_sent_they_are_values_or_a_refusal(content: bytes, datatype: str, count: int) -> None:
    try:
        values = values_in(memoryview(content), datatype, count, "column 'x'")
    except Unanswerable as refused:
        assert refused.status == 422
    else:
        assert len(values) == count
