"""An HTTP server in which no client fills memory or stays for ever: uvicorn with its h11 protocol, within bounds.

For what people and programs ask now and then, and what may be asked by anybody: the pages of Prefect and MLflow, and
feedback. h11 refuses a head, trailers or a chunk's extension of more than 64 KiB by itself. What is added is patience
with an end, and a number of connections beyond which those go that have let us wait longest. The model server, which
is asked far more often, has a connection of its own for the same (`deployments.serving.http_protocol`).
"""

import asyncio
import logging
import socket
from typing import Any, ClassVar, Final

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

_TICKS_A_SWEEP: Final = 10
# Prefect's largest event has 1.5 MB.
_LARGEST_FRAME: Final = 2 * 1024 * 1024
# uvicorn's own, which the application inside may set up anew, has a line for whatever is no request.
_LOG: Final = logging.getLogger(__name__)
_LOG.setLevel(logging.ERROR)


class BoundedConnection(H11Protocol):
    """Knows since when it waits for its client: for a head, for the rest of a body that nobody reads, for taking.

    While an answer is being worked out nobody waits for the client here: an application that reads a body has a limit
    of its own, or has asked who sends it.
    """

    most: ClassVar[int] = 1_000
    asking_seconds: ClassVar[float] = 10.0
    taking_seconds: ClassVar[float] = 60.0

    _waits_since: float | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = _LOG

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and has said nothing yet."""
        super().connection_made(transport)
        self._look()
        if len(self.connections) > self.most:
            self._end_longest()

    def data_received(self, data: bytes) -> None:
        """What it said. What is no HTTP in the middle of an answer ends the connection."""
        try:
            super().data_received(data)
        except h11.LocalProtocolError:
            self.transport.abort()
        self._look()

    def send_400_response(self, msg: str) -> None:
        """What comes is no HTTP. It does not take the place of an answer that is owed for what came before it."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            super().send_400_response(msg)
            return
        self.flow.pause_reading()
        if cycle.more_body:  # in the middle of a body, which now has no end
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
            else:
                super().send_400_response(msg)

    def on_response_complete(self) -> None:
        """Nothing is owed to the client, unless more of its requests stand in line."""
        try:
            super().on_response_complete()
        except h11.LocalProtocolError:
            self.transport.abort()
        self._look()

    def pause_writing(self) -> None:
        """The client takes too little of what it asked for."""
        super().pause_writing()
        self._look()

    def resume_writing(self) -> None:
        """It has taken enough."""
        super().resume_writing()
        self._waits_since = None
        self._look()

    def end_if_waiting(self, now: float) -> None:
        """Hang up on a client that has let us wait too long; `now` on the loop's clock."""
        longest = self.taking_seconds if self.flow.write_paused else self.asking_seconds
        if self._waits_since is not None and now - self._waits_since >= longest:
            self.transport.abort()

    def _look(self) -> None:
        answered = self.cycle is None or self.cycle.response_complete
        if not answered and not self.flow.write_paused:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = self.loop.time()

    def _end_longest(self) -> None:
        """Hangs up on whoever has asked nothing yet for the longest time, else on whoever has not asked again."""
        waiting = [
            (other.cycle is not None, other._waits_since, other)
            for other in self.connections
            if isinstance(other, BoundedConnection) and other is not self and other._waits_since is not None
        ]
        if waiting:
            *_, longest = min(waiting, key=lambda each: each[:2])
            longest._waits_since = None
            longest.transport.abort()


class BoundedServer(uvicorn.Server):
    """Looks once a second who has kept it waiting too long."""

    async def on_tick(self, counter: int) -> bool:
        """Whether it is time to end."""
        if counter % _TICKS_A_SWEEP == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedConnection):
                    connection.end_if_waiting(now)
        return await super().on_tick(counter)


def serve(app: ASGIApp, goodbye_seconds: int, sockets: list[socket.socket] | None = None, **options: Any) -> None:
    """Until SIGTERM, and then for `goodbye_seconds` at most; `options` are uvicorn's.

    Nothing is written of requests, whose addresses may hold what nobody else is to read, nor of what is no request:
    strangers would fill the log.
    """
    config = uvicorn.Config(
        app,
        http=BoundedConnection,
        ws_max_size=_LARGEST_FRAME,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=goodbye_seconds,
        **options,
    )
    BoundedServer(config).run(sockets=sockets)
