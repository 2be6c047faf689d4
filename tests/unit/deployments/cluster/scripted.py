"""A server that answers as a test says, request by request."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml


@dataclass
class Asked:
    """A request as it came in, and from which port."""

    method: str
    path: str
    headers: Mapping[str, str]
    port: int


@dataclass
class Said:
    """An answer; `cut` sends only the half of its body."""

    body: bytes = b"{}"
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Scripted:
    """Where it listens, what it was asked, and how it answers."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    answer: Callable[[Asked], Said] = lambda asked: Said()

    def kubeconfig(self, path: Path, who: str = "any") -> Path:
        """One that leads here, as whoever has that token."""
        named = {"name": "it"}
        path.write_text(
            yaml.safe_dump(
                {
                    "clusters": [named | {"cluster": {"server": self.url}}],
                    "users": [named | {"user": {"token": who}}],
                    "contexts": [named | {"context": {"cluster": "it", "user": "it", "namespace": "models"}}],
                    "current-context": "it",
                }
            )
        )
        return path


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Listens on loopback for as long as the block lasts."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers), self.client_address[1])
            script.asked.append(asked)
            said = script.answer(asked)
            self.send_response(said.code)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body)))
            self.end_headers()
            self.wfile.write(said.body[: len(said.body) // 2] if said.cut else said.body)
            self.close_connection = self.close_connection or said.cut

        do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - http.server wants these names

        def log_message(self, *arguments: object) -> None:
            """Nothing is printed."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
