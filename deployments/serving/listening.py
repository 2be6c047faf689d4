"""A server that listens, does not wait for ever for anybody, and leaves without losing a request."""

import asyncio
import signal
import socket
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from deployments.serving.app import make_app
from deployments.serving.events import say
from deployments.serving.front import TOO_LONG
from deployments.serving.service import Service

# Above the 3 s after which Envoy drops an idle connection, so that it is never us who hang up first.
_KEEP_ALIVE_SECONDS = 75
# How long callers have to come back over an open connection and be told that it closes.
_FAREWELL_SECONDS = 1.0
_TICKS_A_SWEEP = 5


def serve_until_told(service: Service, listener: socket.socket) -> None:
    """Answers requests until SIGTERM or SIGINT; then says farewell, finishes what it is answering, and returns."""
    config = uvicorn.Config(
        make_app(service),
        loop="uvloop",
        http=_Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    _Server(config, service).run(sockets=[listener])


class _InOnePiece:
    """A transport that sends in one piece what is written in one turn of the loop: the head and body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._written: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Sends `data` before the loop's next turn."""
        if not self._written:
            self._loop.call_soon(self._send)
        self._written.append(data)

    def close(self) -> None:
        """Closes once all is sent."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._written and not self._transport.is_closing():
            self._transport.write(b"".join(self._written))
        self._written.clear()


class _Connection(HttpToolsProtocol):
    """uvicorn's own, which also knows since when it has waited for its client to say or to take something."""

    waits_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast("asyncio.Transport", _InOnePiece(transport, self.loop)))
        self.waits_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.waits_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self.waits_since = None  # from here on the request's own time runs
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waits_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.waits_since = None

    def end_if_waiting_since(self, before: float) -> None:
        """Hang up on a client that has let us wait since `before` on the loop's clock, or longer."""
        if self.waits_since is not None and self.waits_since <= before:
            self.transport.abort()


class _Server(uvicorn.Server):
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
        if counter % _TICKS_A_SWEEP == 0:
            self._sweep()
        if self._service.draining and not self.should_exit:
            said_long_enough = self._service.clock.monotonic() - self._leaving_since >= _FAREWELL_SECONDS
            if said_long_enough or not self.server_state.connections:
                say("leaving", open_connections=len(self.server_state.connections))
                self.should_exit = True
        return await super().on_tick(counter)

    def _sweep(self) -> None:
        """Ends what has had its time: requests, and connections whose client neither asks nor takes its answer."""
        longest = self._service.limits.time.total_seconds()
        too_early = self._service.clock.monotonic() - longest
        for task, since in list(self._service.asked.items()):
            if since <= too_early:
                del self._service.asked[task]
                task.cancel(TOO_LONG)
        connection: Any
        for connection in list(self.server_state.connections):
            connection.end_if_waiting_since(connection.loop.time() - longest)
