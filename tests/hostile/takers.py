"""Clients that take as much as they are given: bytes without end, connections without a word, passwords without number.

Each attack is a function of the attacked platform that returns once it has had its time; what it took, a `Watch` tells.
"""

import base64
import contextlib
import http.client
import json
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.hostile.listeners import Listener

_SECONDS = 8.0
_MIB = 1024 * 1024
_CONNECTIONS = 2_500
# Clients of one address share a number of connections at the gateway; legal users have another one.
_ATTACKER = "127.0.0.66"


def endless_heads(listener: Listener) -> None:
    """64 header lines of 16 KiB at a time, on twenty connections."""
    first = b"GET / HTTP/1.1\r\nhost: " + listener.host.encode() + b"\r\n"
    _pour(listener, first, (b"x-a: " + b"b" * 16_000 + b"\r\n") * 64, 20)


def endless_bodies(listener: Listener) -> None:
    """8 GiB each are promised on eight connections, and sent as fast as they are taken."""
    path = next((path for path in listener.paths if "login" in path or "RPC2" in path or "feedback" in path), "/x")
    head = (
        b"POST %s HTTP/1.1" % path.encode(), b"host: " + listener.host.encode(), b"content-type: application/json",
        b"origin: http://" + listener.host.encode(), b"content-length: 8589934592",
    )  # fmt: skip
    _pour(listener, b"\r\n".join(head) + b"\r\n\r\n", b" " * _MIB, 8)


def endless_words(listener: Listener) -> None:
    """Bytes without an end of line."""
    _pour(listener, b"{", b"x" * _MIB, 8)


def silent_connections(listener: Listener) -> None:
    """2,500 of them, which say nothing."""
    _hold(listener, [b""] * _CONNECTIONS)


def slow_heads(listener: Listener) -> None:
    """1,000 heads, a line of which comes each second."""
    first = b"GET / HTTP/1.1\r\nhost: " + listener.host.encode() + b"\r\n"
    _hold(listener, [first] * 1_000, b"x-a: b\r\n")


def slow_logins(listener: Listener) -> None:
    """500 bodies of a login, a byte of which comes each second."""
    host = listener.host.encode()
    head = b"POST /seatrial/login HTTP/1.1\r\nhost: %s\r\norigin: http://%s\r\ncontent-length: 4000\r\n\r\n"
    _hold(listener, [head % (host, host)] * 500, b" ")


def unfinished_uploads(listener: Listener) -> None:
    """150 bodies of 8 MiB, of which the last byte is missing."""
    size = 8 * _MIB
    path = listener.paths[0].encode()
    head = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (path, size)
    _pour(listener, head, b" " * (size - 1), 150, once=True)


def silent_sockets(listener: Listener) -> None:
    """500 WebSockets of those who say nothing, and a frame of 16 MiB on each that is taken."""
    head = (
        b"GET /api/events/in HTTP/1.1", b"host: " + listener.host.encode(), b"connection: upgrade",
        b"upgrade: websocket", b"sec-websocket-version: 13", b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        b"sec-websocket-protocol: prefect",
    )  # fmt: skip
    words = b"\r\n".join(head) + b"\r\n\r\n"
    frame = b"\x81\xff" + (16 * _MIB - 1).to_bytes(8, "big") + bytes(4)
    with ThreadPoolExecutor(1) as beside:
        pouring = beside.submit(_pour, listener, words + frame, b"x" * _MIB, 20)
        _hold(listener, [words] * 500)
        pouring.result()


def wrong_passwords(listener: Listener) -> None:
    """As many as are answered, by four clients."""

    def guess(number: int) -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                contextlib.closing(listener.connection()) as connection,
            ):
                for attempt in range(200):
                    shown = base64.b64encode(f"seatrial:{number}-{attempt}".encode()).decode()
                    connection.request("GET", "/x", headers={"authorization": f"Basic {shown}"})
                    answer = connection.getresponse()
                    answer.read()
                    assert answer.status == 401

    with ThreadPoolExecutor(4) as several:
        list(several.map(guess, range(4)))


def floods_of_feedback(listener: Listener) -> None:
    """Bodies of just below 1 MiB from 64 clients."""
    item = {"product": "shop", "version": 1, "request_id": "x" * 36, "metric": "revenue", "value": 1}
    body = json.dumps([item] * 1_000).encode()
    body += b" " * (_MIB - len(body) - 1)

    def flood(_: int) -> None:
        end = time.monotonic() + _SECONDS
        while time.monotonic() < end:
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                contextlib.closing(listener.connection()) as connection,
            ):
                headers = {"content-type": "application/json", "host": listener.host}
                connection.request("POST", "/seatrial/feedback", body, headers)
                connection.getresponse().read()

    with ThreadPoolExecutor(64) as several:
        list(several.map(flood, range(64)))


Attack = Callable[[Listener], None]
ON_DOORS: tuple[Attack, ...] = (
    endless_heads, endless_bodies, silent_connections, slow_heads, slow_logins, wrong_passwords,
)  # fmt: skip
PROGRAMS = {
    "gateway": "gateway", "Prefect": "prefect-server", "MLflow": "mlflow-server", "control service": "control",
    "warm process": "warm", "supervisord": "supervisord", "Prefect's worker": "prefect-worker",
}  # fmt: skip
ATTACKS: dict[str, tuple[Attack, ...]] = {
    "gateway": (unfinished_uploads, endless_heads, silent_connections, slow_heads, floods_of_feedback),
    "Prefect": (*ON_DOORS, silent_sockets),
    "MLflow": ON_DOORS,
    "control service": (endless_heads, endless_bodies, silent_connections, slow_heads, floods_of_feedback),
    "warm process": (endless_words, silent_connections),
    "supervisord": (endless_heads, endless_bodies),
    "Prefect's worker": (endless_words, silent_connections),
}


def _pour(listener: Listener, first: bytes, more: bytes, connections: int, *, once: bool = False) -> None:
    """Sends `first`, then `more` for as long as it is taken, or `once`; again and again until the time is over."""
    end = time.monotonic() + _SECONDS

    def pour(_: int) -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError), contextlib.closing(listener.connected(_SECONDS, _ATTACKER)) as client:
                client.sendall(first)
                while time.monotonic() < end:
                    client.sendall(more)
                    if once:
                        time.sleep(max(0.0, end - time.monotonic()))

    with ThreadPoolExecutor(connections) as several:
        list(several.map(pour, range(connections)))


def _hold(listener: Listener, firsts: list[bytes], trickle: bytes = b"") -> None:
    """A connection for each of `firsts`, kept until the time is over; each says `trickle` once a second."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    end = time.monotonic() + _SECONDS
    with contextlib.ExitStack() as stack:
        kept: list[socket.socket] = []
        for first in firsts:
            if time.monotonic() > end:
                break
            with contextlib.suppress(OSError):
                client = stack.enter_context(contextlib.closing(listener.connected(1.0, _ATTACKER)))
                client.sendall(first)
                kept.append(client)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(1.0, left))
            for client in kept if trickle else ():
                with contextlib.suppress(OSError):
                    client.send(trickle)
