"""Bytes that are nearly HTTP, or nothing like it."""

import json
import random
from collections.abc import Callable
from typing import Final

from tests.hostile.bodies import INFER, MARK, MARK_NUMBER, MLFLOW, mutated

_SECRET = MARK.encode()
_ROW = {"distance": MARK_NUMBER, "hour": 5, "carrier": MARK}
_BODY: Final = json.dumps({"dataframe_records": [_ROW]}).encode()
_LIVE: Final = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def words_of(chance: random.Random) -> tuple[str, list[bytes]]:
    """What a client says on one connection, with a pause after each piece; and what is wrong with it, in a word."""
    kind = chance.choice(list(_KINDS))
    return kind, _KINDS[kind](chance)


def asking(body: bytes = _BODY, *lines: bytes, path: str = MLFLOW) -> bytes:
    """A request as it should be, with further header lines."""
    length = b"content-length: %d" % len(body)
    head = (b"POST %s HTTP/1.1" % path.encode(), b"host: x", b"content-type: application/json", length, *lines)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def _wounds(chance: random.Random) -> list[bytes]:
    return [mutated(asking(), chance)]


def _lengths(chance: random.Random) -> list[bytes]:
    given = chance.choice(
        (b"-1", b"+5", b"1e3", b"5, 5", b"0x10", b"", b" ", b"18446744073709551616", b"9" * 5_000, b"1" * 18, b"\x00")
    )
    also = chance.choice((b"", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n"))
    return [b"POST /invocations HTTP/1.1\r\nhost: x\r\n%scontent-length: %s\r\n\r\n" % (also, given), _BODY]


def _chunks(chance: random.Random) -> list[bytes]:
    coding = chance.choice(
        (b"chunked", b"chunked", b"gzip, chunked", b"chunked, chunked", b"chunked, identity", b"xchunked")
    )
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: %s\r\n\r\n" % (
        chance.choice((MLFLOW, INFER, "/v2")).encode(),
        coding,
    )
    size = b"%x" % len(_BODY)
    whole = (
        size + b";a=" + _SECRET + b"\r\n" + _BODY + b"\r\n0\r\ncontent-encoding: gzip\r\nx: " + _SECRET + b"\r\n\r\n"
    )
    broken = (
        whole,
        mutated(whole, chance),
        b"zz\r\n" + _BODY,
        b"-5\r\n" + _BODY,
        b"f" * 16 + b"\r\n" + _BODY,
        b"f" * 17 + b"\r\n" + _BODY,
        size + b"\n" + _BODY + b"\n0\n\n",
        size + b"\r\n" + _BODY + b"X\r\n0\r\n\r\n",
        b"1;" + b"x" * 100_000,
        b"0\r\n" + b"x: y\r\n" * 20_000,
        b"".join(b"1\r\n%c\r\n" % each for each in _BODY) + b"0\r\n\r\n",
    )
    return [head, chance.choice(broken)]


def _heads(chance: random.Random) -> list[bytes]:
    lines = (
        b"x: " + b"a" * chance.choice((5_000, 60_000, 300_000)),
        b"\r\n".join(b"x-%d: y" % number for number in range(chance.choice((100, 5_000, 50_000)))),
        b"no colon",
        b": no name",
        b"x : space before the colon",
        b"x: folded\r\n over two lines",
        b"x: \x00" + _SECRET,
        b"x\x00y: z",
        b"x: \xff\xfe",
        b"host: y",
        b"content-type: text/csv\r\ncontent-type: application/json",
        b"content-encoding: gzip\r\ncontent-encoding: identity",
        b"connection: upgrade\r\nupgrade: websocket",
        b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAAAA",
        b"connection: close, keep-alive",
        b"expect: 100-continue",
        b"expect: nothing",
        b"x-request-id: " + b"\r\n x-evil: 1",
        b"x-forwarded-proto: https",
    )
    return [asking(_BODY, chance.choice(lines))]


def _lines(chance: random.Random) -> list[bytes]:
    path = chance.choice(
        (
            b"*", b"//", b"/\xff", b"/%00", b"/%ff%fe", b"/invocations%0d%0ax: y", b"/" + b"a" * 100_000, b"x", b"",
            b"/?" + _SECRET, b"http://x/invocations", b"http://[::1", b"http://x:99999/", b"/../../etc/passwd",
            b"/v2/models/" + b"%41" * 3_000, b"/seatrial/answers?after=" + b"9" * 5_000, b"/seatrial/answers?limit=-1",
            b"/v2/models/flights/versions/%2e%2e/infer",
        )
    )  # fmt: skip
    method = chance.choice(
        (b"GET", b"POST", b"HEAD", b"OPTIONS", b"CONNECT", b"TRACE", b"PUT", b"get", b"G\x00T", b"A" * 9_000)
    )
    version = chance.choice(
        (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2", b"HTTP/9" + b"9" * 20, b"ICY/1.0", b"")
    )
    return [b"%s %s %s\r\nhost: x\r\n\r\n" % (method, path, version)]


def _strangers(chance: random.Random) -> list[bytes]:
    return [
        chance.choice(
            (
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(200),
                b"SSH-2.0-OpenSSH_9.9\r\n",
                b"\r\n" * 10_000,
                b"\x00" * 1_000,
                chance.randbytes(2_000),
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            )
        )
    ]


def _lines_of_requests(chance: random.Random) -> list[bytes]:
    """Pipelines."""
    many = chance.choice((2, 20, 100, 1_000))
    requests = [chance.choice((_LIVE, asking())) for _ in range(many)]
    if chance.random() < 0.5:
        requests.append(b"what?\r\n\r\n")
    return [b"".join(requests)]


def _hasty(chance: random.Random) -> list[bytes]:
    """Gone before the end."""
    request = asking(_BODY * 50, path=chance.choice((MLFLOW, INFER)))
    return [request[: chance.randrange(len(request))]]


_KINDS: Final[dict[str, Callable[[random.Random], list[bytes]]]] = {
    "wounded": _wounds,
    "lengths": _lengths,
    "chunks": _chunks,
    "heads": _heads,
    "first lines": _lines,
    "no HTTP": _strangers,
    "pipelines": _lines_of_requests,
    "hasty": _hasty,
}
