"""The sockets: an HTTP server on loopback, in threads of its own."""

import contextlib
import socket
import struct
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from .bodies import Answer
from .faults import ConnectionCut, Request

POLL_SECONDS = 0.02
Answering = Callable[[Request], Answer]
StreamEnds = Callable[[int], bool | None]


class Server:
    """Listens on a port of its own choice, which it keeps through `stop` and `start`.

    `stream_ends` is asked after each line of a stream: None goes on, True ends it as it should end, False cuts it."""

    def __init__(self, answering: Answering, stream_ends: StreamEnds) -> None:
        self._answering = answering
        self._stream_ends = stream_ends
        self._listener: _Listener | None = None
        self._thread: threading.Thread | None = None
        self._place: socket.socket | None = None
        self.resets = False
        self.port = 0
        self.broken: list[BaseException] = []

    def start(self) -> None:
        """Connections are taken."""
        self._listener = _Listener(("127.0.0.1", self.port), self)
        self.port = self._listener.server_port
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()
        if self._place is not None:
            self._place.close()
            self._place = None

    def hold_the_port(self) -> None:
        """Nobody else gets it: a socket that is bound and does not listen refuses connections."""
        self._place = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", self.port))

    def stop(self) -> None:
        """Connections are refused, and those that are open are cut."""
        if self._place is not None:
            self._place.close()
            self._place = None
        if self._listener is None or self._thread is None:
            return
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()
        self._listener.cut_all()
        self._listener = None

    def cut_all(self) -> None:
        """Reset the connections that are open; new ones are taken."""
        if self._listener is not None:
            self._listener.cut_all()

    def answer(self, request: Request) -> Answer:
        """Raises `ConnectionCut` where there is to be no answer."""
        return self._answering(request)

    def stream_ends(self, lines: int) -> bool | None:
        return self._stream_ends(lines)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], owner: Server) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.owner.resets:
            reset(request)
            return
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self) -> None:
        with self._guard:
            connections, self._open = self._open, set()
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None and not isinstance(error, OSError):
            self.owner.broken.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener

    def _handle(self) -> None:
        split = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        request = Request(
            method=self.command,
            path=split.path,
            query=dict(parse_qsl(split.query, keep_blank_values=True)),
            content_type=(self.headers.get("Content-Type") or "").split(";")[0].strip(),
            user_agent=self.headers.get("User-Agent") or "",
            body=self.rfile.read(length),
            further={name.lower(): value for name, value in self.headers.items() if name.lower().startswith("x-")},
        )
        try:
            answer = self.server.owner.answer(request)
        except ConnectionCut:
            self._cut()
            return
        if answer.stream is None:
            self._send(answer)
        else:
            self._stream(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server wants these names

    def _send(self, answer: Answer) -> None:
        self._send_head(answer, "Content-Length", str(len(answer.body)))
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def _send_head(self, answer: Answer, framing: str, value: str) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header(framing, value)
        for name, text in answer.headers.items():
            self.send_header(name, text)
        self.end_headers()

    def _stream(self, answer: Answer) -> None:
        assert answer.stream is not None
        self._send_head(answer, "Transfer-Encoding", "chunked")
        self.wfile.flush()
        ends = self.server.owner.stream_ends
        end = ends(0)
        lines = 0
        while end is None and (line := next(answer.stream, b"")):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
            lines += 1
            end = ends(lines)
        if end is False:
            self._cut()
            return
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            linger_not(self.connection)
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that the standard library gives it
        """Nothing is printed; requests are recorded instead."""


def linger_not(connection: socket.socket) -> None:
    """Closing it resets it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset(connection: socket.socket) -> None:
    """End a connection without a word."""
    with contextlib.suppress(OSError):
        linger_not(connection)
    connection.close()
