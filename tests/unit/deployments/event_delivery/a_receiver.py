"""A receiver of events over real sockets, which answers as it is told."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

Answer = Callable[[socket.socket], None]


@dataclass
class Heard:
    """What came: the head of each request, and its body."""

    url: str
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)


def plain(status: str, *headers: str, body: bytes = b"") -> Answer:
    """An answer and a connection that is closed."""

    def answer(to: socket.socket) -> None:
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
        to.sendall("\r\n".join(lines).encode() + body)

    return answer


@contextmanager
def receiver(answer: Answer, certificate: tuple[Path, Path] | None = None) -> Iterator[Heard]:
    """On loopback, with TLS where there is a certificate and its key."""
    listener = socket.create_server(("127.0.0.1", 0))
    scheme = "https" if certificate else "http"
    heard = Heard(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/hook/s3cret-path")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if certificate:
        context.load_cert_chain(*certificate)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                heard.connections.append(1)
                threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(raw: socket.socket) -> None:
        with suppress(OSError), raw, context.wrap_socket(raw, server_side=True) if certificate else raw as to:
            heard.requests.append(_request(to))
            answer(to)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _request(to: socket.socket) -> tuple[dict[str, str], bytes]:
    content = b""
    while b"\r\n\r\n" not in content:
        content += _some(to)
    head, _, body = content.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(map(_pair, lines[1:]))
    while len(body) < int(headers["content-length"]):
        body += _some(to)
    return headers | {"request": lines[0]}, body


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


def _some(to: socket.socket) -> bytes:
    content = to.recv(65536)
    if not content:
        raise OSError("closed")
    return content
