"""Somebody else's web server, whose every page tries what a page can."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.ports import free_port

SCRIPT = Path(__file__).with_name("attacks.js").read_text()
PAGE = f'<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><body><script>{SCRIPT}</script></body>'


class Attacker:
    """`heard`: the headers of each request, in small letters, and the path as `:path`."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.heard: list[dict[str, str]] = []

    def page(self, name: str = "evil.example") -> str:
        """The address of a page of it, under a name that leads to it."""
        return f"http://{name}:{self.port}/"


@contextmanager
def attacker() -> Iterator[Attacker]:
    """Until the block ends."""
    made = Attacker(free_port())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.heard.append({":path": self.path} | {name.lower(): value for name, value in self.headers.items()})
            body = PAGE.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", made.port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
