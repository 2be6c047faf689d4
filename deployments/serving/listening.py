"""Sockets that change hands without a moment in which nobody listens; a server that leaves without losing a request."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import uvicorn

from deployments.serving.app import Service, make_app
from deployments.serving.events import say

# Above the 3 s after which Envoy drops an idle connection, so that it is never us who hang up first.
_KEEP_ALIVE_SECONDS = 75
_BACKLOG = 2048
# How long callers have to come back over an open connection and be told that it closes.
_FAREWELL_SECONDS = 1.0


@contextmanager
def unix_listener(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket at `path`, for this user alone.

    It takes the path over from a server that listens there now; that one keeps the connections it has.
    The file is removed at the end, unless another server has taken it over in turn.
    """
    temporary = path.with_name(f".{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(temporary))
        temporary.chmod(0o600)
        listener.listen(_BACKLOG)
        temporary.replace(path)
        ours = path.stat().st_ino
        try:
            yield listener
        finally:
            with suppress(FileNotFoundError):
                if path.stat().st_ino == ours:
                    path.unlink()


@contextmanager
def tcp_listener(host: str, port: int) -> Iterator[socket.socket]:
    """A listening TCP socket."""
    with socket.create_server((host, port), backlog=_BACKLOG) as listener:
        yield listener


def serve_until_told(service: Service, listener: socket.socket) -> None:
    """Answers requests until SIGTERM or SIGINT; then says farewell, finishes what it is answering, and returns."""
    config = uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    _LeavingServer(config, service).run(sockets=[listener])


class _LeavingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._leaving_since = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to leave; a second Ctrl-C leaves at once."""
        if not self._service.draining:
            self._service.draining = True
            self._leaving_since = self._service.clock.monotonic()
        elif sig == signal.SIGINT:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to stop accepting connections; asked ten times a second."""
        if self._service.draining and not self.should_exit:
            said_long_enough = self._service.clock.monotonic() - self._leaving_since >= _FAREWELL_SECONDS
            if said_long_enough or not self.server_state.connections:
                say("leaving", open_connections=len(self.server_state.connections))
                self.should_exit = True
        return await super().on_tick(counter)
