"""Requests to any listener: odd methods, paths, names, headers and bodies, and bytes that are no HTTP."""

import json
import random
from typing import Final

from tests.hostile.bodies import MARK, case_of, mutated
from tests.hostile.framing import words_of
from tests.hostile.listeners import Listener, Sent

_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "QUERY")
_CHANGES: Final = (
    lambda path: path + "/..", lambda path: "/.." + path, lambda path: "/x/../" + path, lambda path: path + "%00",
    lambda path: path.replace("/", "//"), lambda path: path.replace("/", "%2f"), lambda path: path.replace("/", "\\"),
    lambda path: path + "?" + "a=b&" * 500, lambda path: path + ";x=y", lambda path: path.upper(),
    lambda path: "http://evil.example" + path, lambda path: path + "%0d%0ax-evil:1", lambda path: path + "/.",
    lambda path: path + "%c0%ae%c0%ae", lambda path: path + "#x", lambda path: path + "?limit=-1&after=9999999999999",
    lambda path: path + "a" * 3_000, lambda path: "/%2e%2e/%2e%2e/etc/passwd",
)  # fmt: skip
_LINES: Final = (
    b"origin: http://evil.example", b"origin: null", b"sec-fetch-site: cross-site", b"sec-fetch-site: same-origin",
    b"authorization: Basic c2VhdHJpYWw6d3Jvbmc=", b"authorization: Bearer wrong", b"authorization: Basic =",
    b"authorization: Bearer \xff\xfe", b"authorization: " + b"A" * 5_000, b"cookie: seatrial-prefect=1.2.3",
    b"cookie: " + b"a=b; " * 800, b"cookie: seatrial-mlflow=\xff", b"x-forwarded-for: 127.0.0.1",
    b"x-forwarded-proto: https", b"x-seatrial-mirrored: 1", b"x-seatrial-paired: 1", b"x-seatrial-upload: 1",
    b"x-seatrial-sender: 127.0.0.1", b"x-envoy-original-path: /", b"x-http-method-override: DELETE",
    b"x-request-id: " + b"x" * 500, b"connection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAAAA",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: "
    b"dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: prefect",
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 99", b"te: trailers", b"expect: 100-continue",
    b"range: bytes=0-,-1", b"accept: text/html", b"accept-encoding: gzip;q=0", b"content-encoding: gzip",
    b"x: " + MARK.encode(), b"via: 1.1 a, 1.1 b", b"forwarded: for=127.0.0.1;host=x", b"x-forwarded-host: evil.example",
)  # fmt: skip
_HOSTS: Final = (b"evil.example", b"", b"127.0.0.1:1", b"[::1", b"localhost\x00", b"a" * 300, b"127.0.0.1@evil")
_TYPES: Final = ("application/json", "text/plain", "text/csv", "application/x-ndjson", "text/xml", "", "multipart/x")


def sent_to(listener: Listener, chance: random.Random) -> Sent:
    """The next one; half of them are requests that a server can read."""
    if not listener.speaks_http or chance.random() < 0.15:
        kind, words = words_of(chance)
        return Sent(kind, b"".join(words))
    return _request(listener, chance)


def _request(listener: Listener, chance: random.Random) -> Sent:
    path, method = chance.choice(listener.paths), chance.choice(_METHODS)
    if chance.random() < 0.3:
        path = chance.choice(_CHANGES)(path)
    if "/events/" in path or "/logs/out" in path:
        return _socket(listener, path, chance)
    content_type, body = _body(listener, chance)
    if method in {"GET", "HEAD"} and chance.random() < 0.9:
        body = b""
    host = chance.choice(_HOSTS) if chance.random() < 0.15 else listener.host.encode()
    lines = [b"host: " + host, *chance.sample(_LINES, chance.choice((0, 0, 0, 1, 1, 2))), *listener.headers]
    if content_type:
        lines.append(b"content-type: " + content_type.encode())
    if body or method == "POST":
        lines.append(b"content-length: %d" % len(body))
    version = b"HTTP/1.0" if chance.random() < 0.05 else b"HTTP/1.1"
    first = b"%s %s %s" % (method.encode(), path.encode("latin-1", "replace"), version)
    return Sent("requests", b"\r\n".join([first, *lines]) + b"\r\n\r\n" + body, method, path)


def _socket(listener: Listener, path: str, chance: random.Random) -> Sent:
    """A WebSocket, and what its first words are."""
    head = (
        b"GET %s HTTP/1.1" % path.encode("latin-1", "replace"), b"host: " + listener.host.encode(),
        b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13",
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", chance.choice((b"sec-websocket-protocol: prefect", b"x: y")),
    )  # fmt: skip
    frames = b"".join(_frame(chance) for _ in range(chance.choice((0, 1, 1, 2, 20))))
    return Sent("sockets", b"\r\n".join(head) + b"\r\n\r\n" + frames, "GET", path)


def _frame(chance: random.Random) -> bytes:
    """As RFC 6455 has it, or nearly so; the mask is zero."""
    token = chance.choice(("wrong", "", None, 7, "\ud800", "seatrial:", ["a"], {}))
    told: tuple[object, ...] = (
        {"type": "auth", "token": token},
        {"type": "auth"},
        {"type": "x"},
        [],
        None,
        7,
        "auth",
        MARK,
    )
    word = json.dumps(chance.choice(told)).encode()
    word = mutated(word, chance) if chance.random() < 0.3 else word
    first = chance.choice((0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0xC1, 0x8F))
    length = b"\xfe" + len(word).to_bytes(2, "big") if len(word) > 125 else bytes([0x80 | len(word)])
    if chance.random() < 0.1:
        length = b"\xff" + chance.choice((2**63 - 1, 2**32, 20_000_000)).to_bytes(8, "big")
    return bytes([first]) + length + bytes(4) + word


def _body(listener: Listener, chance: random.Random) -> tuple[str, bytes]:
    if listener.bodies is not None and chance.random() < 0.7:
        return listener.bodies(chance)
    case = case_of(chance)
    return chance.choice(_TYPES), case.body[:100_000]


def feedback(chance: random.Random) -> tuple[str, bytes]:
    """About answers that nobody was given."""
    item = {
        "product": chance.choice(("shop", "nobody", "", "../shop", MARK, "s" * 200)),
        "version": chance.choice((1, 0, -1, 2**63, "1", None)),
        "request_id": chance.choice(("0b1ec7b2-6c4a-4d0b-9d6c-1f4f6c0f7a11", MARK, "x" * 500, "a.b.c", "", None, 7)),
        "metric": chance.choice(("revenue", "label", "", "m" * 300, None, "\x00")),
        "value": chance.choice((1, 1e83, -1e308, "NaN", None, [], {"a": 1}, True, "yes")),
    }
    if chance.random() < 0.3:
        item["at"] = chance.choice(("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "now", 0, -1, None))
    for name in chance.sample(sorted(item), chance.choice((0, 0, 1))):
        del item[name]
    items = [item] * chance.choice((1, 1, 1, 2, 900, 1_001))
    match chance.randrange(4):
        case 0:
            kind, body = "application/x-ndjson", b"\n".join(json.dumps(each).encode() for each in items)
        case 1:
            rows = [",".join(item), *(",".join(str(value) for value in each.values()) for each in items)]
            kind, body = "text/csv", "\n".join(rows).encode()
        case 2:
            kind, body = "application/json", json.dumps(items).encode()
        case _:
            kind, body = "application/json", json.dumps(item).encode()
    return chance.choice((kind, kind, kind, *_TYPES)), mutated(body, chance) if chance.random() < 0.3 else body


def login(chance: random.Random) -> tuple[str, bytes]:
    """With what is no password and no ticket."""
    word = chance.choice(
        ("wrong", "", "\ud800", "1.2.3", "9" * 18 + ".a.b", "é.é.é", MARK, "x" * 5_000, None, 7, ["a"])
    )
    body = json.dumps({chance.choice(("password", "ticket")): word}).encode()
    return "application/json", mutated(body, chance) if chance.random() < 0.3 else body


def remote_call(chance: random.Random) -> tuple[str, bytes]:
    """XML-RPC that asks for nothing that there is."""
    name = chance.choice(
        (
            "supervisor.nothing",
            "system.nothing",
            "__class__",
            "supervisor.__init__",
            "os.system",
            "",
            "supervisor",
            "a.b.c",
        )
    )
    bomb = b'<!DOCTYPE a [<!ENTITY a "%s">%s]>' % (
        b"x" * 100,
        b"".join(b'<!ENTITY %c "&%c;&%c;&%c;">' % (98 + n, 97 + n, 97 + n, 97 + n) for n in range(12)),
    )
    call = b"<methodCall><methodName>%s</methodName><params>%s</params></methodCall>" % (
        name.encode(),
        chance.choice((b"", b"<param><value><int>x</int></value></param>", b"<param>" * 500, b"&m;")),
    )
    body = (bomb if chance.random() < 0.2 else b"") + call
    return "text/xml", mutated(body, chance) if chance.random() < 0.4 else body
