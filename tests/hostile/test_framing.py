"""What a connection does with bytes that are more, longer or later than HTTP foresees."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.framing import asking
from tests.hostile.served import Served, serving

LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"
ROWS = b'{"instances": [[1, 2, "UA"]]}'
CHUNKED = b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
FLOOD_BYTES = 30_000_000


@pytest.fixture(scope="module")
def served(model: Path) -> Iterator[Served]:
    with serving(model, "--max-seconds", "5") as served:
        yield served
        assert served.lives


def heard(served: Served, *words: bytes, patience: float = 1.0) -> bytes:
    """All that the server says, until it hangs up or says nothing for a while."""
    answer = b""
    with served.socket(patience) as client, contextlib.suppress(OSError):
        for word in words:
            client.sendall(word)
        while part := client.recv(1_000_000):
            answer += part
    return answer


def statuses(answer: bytes) -> list[str]:
    return [status.decode() for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 300_000,
        b"GET / HTTP/1.1\r\nx: " + b"a" * 300_000,
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 50_000,
    ],
)
def test_a_head_without_end_is_refused(served: Served, head: bytes) -> None:
    with served.socket() as client:
        for start in range(0, len(head), 100_000):
            with contextlib.suppress(BrokenPipeError):
                client.sendall(head[start : start + 100_000])
        assert statuses(client.recv(1_000)) == ["431"]


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        (CHUNKED % b"/v2" + b"0\r\n", b"x-a: b\r\n" * 8_000),
        (CHUNKED % b"/invocations" + b"0\r\n", b"x-a: b\r\n" * 8_000),
        (CHUNKED % b"/invocations" + b"5;", b"a" * 65_536),
        (LIVE, LIVE * 1_500),
    ],
    ids=["trailers of an answered request", "trailers", "a chunk's extension", "pipelined requests"],
)
def test_what_is_not_understood_as_fast_as_it_comes_fills_no_memory(served: Served, begun: bytes, more: bytes) -> None:
    before = served.memory_mib
    with served.socket(2) as client, pytest.raises(OSError):
        client.sendall(begun)
        for _ in range(FLOOD_BYTES // len(more)):
            client.sendall(more)
    assert served.memory_mib < before + 30
    assert served.answers_rightly()


def test_trailers_are_no_headers(served: Served) -> None:
    chunks = b"%x\r\n" % len(ROWS) + ROWS + b"\r\n0\r\ncontent-encoding: gzip\r\ncontent-type: image/png\r\n\r\n"
    assert statuses(heard(served, CHUNKED % b"/invocations" + chunks)) == ["200"]


def test_a_hundred_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    paths = [b"/v2/health/live", b"/nowhere"] * 50
    answer = heard(served, b"".join(b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % path for path in paths))
    assert statuses(answer) == ["200", "404"] * 50


def test_nonsense_behind_a_request_does_not_take_the_place_of_its_answer(served: Served) -> None:
    answer = heard(served, asking(ROWS) + b"nonsense\r\n\r\n", patience=4.0)
    assert statuses(answer) == ["200"]
    assert answer.endswith(b"]]}")


@pytest.mark.parametrize(
    "nonsense", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", b"\x16\x03\x01\r\n"]
)
def test_nonsense_is_refused_and_hung_up_on(served: Served, nonsense: bytes) -> None:
    assert statuses(heard(served, nonsense, patience=4.0)) == ["400"]


def test_the_rest_of_a_refused_body_is_thrown_away_and_the_connection_goes_on(served: Served) -> None:
    request = asking(b"x" * 9_000_000) + LIVE
    assert statuses(heard(served, request)) == ["413", "200"]


def test_a_client_that_would_rather_speak_http_2_is_answered_in_http_1(served: Served) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAAAA"
    assert statuses(heard(served, asking(ROWS, wish) + asking(b"[") + LIVE)) == ["200", "400", "200"]
