"""A connection whose client can neither keep us waiting for ever nor fill our memory: uvicorn's own, within bounds."""

import asyncio
import re
import select
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, ClassVar, Final, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from deployments.serving.predict_handler import ANSWERING, CLIENT_LEFT

# Of a request's line and headers; of chunk extensions between two pieces of a body; of trailers. By it, and what one
# read brings, a client can be ahead of what is understood.
_LONGEST_HEAD: Final = 65_536
_MOST_IN_LINE: Final = 128
# Of a body, in bytes, before its request takes it over.
_MUCH: Final = 1 << 18
# Of an answer that a client does not take, beyond what the system keeps for it: from here on it counts, and waits.
_UNREAD: Final = 4096
_LARGE: Final = 1 << 16
# Far more than anybody sends; each takes some 150 bytes, however short it is.
_MOST_HEADERS: Final = 256
# Of all connections together: heads that are not complete.
_MOST_UNFINISHED: Final = 16 << 20
_HEAD_TOO_LONG: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)
# macOS knows only the second.
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP
_UPGRADE: Final = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """Knows since when it waits for its client: to ask, at most a request ahead, or to take an answer.

    Beyond `most_connections` those go that have waited longest for a request, the first one or a further one; beyond
    `most_unread` bytes of answers in all that nobody takes, those that have waited longest for that.
    """

    most_connections: ClassVar[int] = 5_000
    most_unread: ClassVar[int] = 32 << 20

    _idle_since: float | None = None
    _asks_since: float | None = None
    _takes_since: float | None = None
    _complete = False
    _running: RequestResponseCycle | None = None
    _not_understood = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and has said nothing yet."""
        transport.set_write_buffer_limits(_UNREAD)
        super().connection_made(cast("asyncio.Transport", _InOnePiece(transport, self.loop)))
        self.flow = _Flow(self.transport, self.pipeline)
        self._answering: set[asyncio.Task[Any]] = set()
        self._asks_since = self.loop.time()
        if len(self.connections) > self.most_connections:
            self._end_first(lambda other: other._silent_since)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more for what is still being worked out."""
        for task in self._answering:
            task.cancel(CLIENT_LEFT)
        if self._running is not None:
            # uvicorn tells only the last in line.
            self._running.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What it said; too long a head is refused."""
        if self._answered and b"h2c" in data:
            data = _without_upgrade(data)
        self._not_understood += len(data)
        super().data_received(data)
        if self._answered and self._asks_since is None:
            self._asks_since = self.loop.time()
        too_long = self._not_understood > _LONGEST_HEAD or len(self.headers or ()) > _MOST_HEADERS
        if too_long and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Raises, which ends the connection, if too many requests are in line."""
        if len(self.pipeline) >= _MOST_IN_LINE:
            self.transport.abort()
            raise ConnectionAbortedError
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """From here on the request's own time runs. Raises, which ends the connection, for too many headers."""
        self._asks_since = None
        if len(self.headers) > _MOST_HEADERS:
            self._refuse_head()
            raise ConnectionAbortedError
        self._complete, self._not_understood = False, 0
        self.scope[ANSWERING] = self._answering  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()
        self.headers = []  # for trailers, which are no headers

    def on_body(self, body: bytes) -> None:
        """A piece of a body. Whoever waits for it is woken for much of it, or for its end: not for each piece."""
        self._not_understood = 0
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > _MUCH:
            self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """All of a request is here."""
        self._complete, self._not_understood = True, 0
        super().on_message_complete()
        # Else nobody would notice that the client leaves; no more is read while another request stands in line.
        self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Nothing is owed to the client, unless more of its requests stand in line."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Not in the place of an answer that is still to come: then the connection only closes behind that one."""
        if self._complete and not self._answered:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
        else:
            super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client takes too little of what it asked for."""
        super().pause_writing()
        self._takes_since = self.loop.time()
        unread = self.transport.get_write_buffer_size()
        unread += sum(other.unread for other in self._others())
        while unread > self.most_unread and (ended := self._end_first(lambda other: other._takes_since)) is not None:
            unread -= ended

    def resume_writing(self) -> None:
        """It has taken enough."""
        super().resume_writing()
        self._takes_since = None

    def end_if_waiting_since(self, before: float) -> None:
        """Hang up on a client that has let us wait since `before` on the loop's clock, or longer; or that is gone.

        Where nothing is read, since another request of its stands in line, nobody else would notice that.
        """
        if self._takes_since is None and self.transport.is_closing():
            self._takes_since = self.loop.time()
        has_left = bool(self._answering) and self.flow.read_paused and _is_gone(self.transport)
        if has_left or any(since is not None and since <= before for since in (self._asks_since, self._takes_since)):
            self.transport.abort()

    @property
    def unread(self) -> int:
        """Bytes of answers that its client could have taken, and has not."""
        return 0 if self._takes_since is None else int(self.transport.get_write_buffer_size())

    @property
    def unfinished(self) -> int:
        """Bytes that came and are no complete request yet."""
        return self._not_understood

    @property
    def _silent_since(self) -> float | None:
        """None while it is answered; between two requests the time for a request does not run yet."""
        if self._asks_since is not None:
            return self._asks_since
        return self._idle_since if self._answered else None

    def _others(self) -> "Iterator[Connection]":
        return (other for other in self.connections if other is not self and isinstance(other, Connection))

    def _end_first(self, since: "Callable[[Connection], float | None]") -> int | None:
        """Hangs up on whoever let us wait longest, but this one; what was unread there. None if nobody lets us wait."""
        waiting = [(begun, other.unread, other) for other in self._others() if (begun := since(other)) is not None]
        if not waiting:
            return None
        _, unread, longest = min(waiting, key=lambda each: each[0])
        longest.transport.abort()
        longest._asks_since = longest._takes_since = longest._idle_since = None
        return unread

    @property
    def _answered(self) -> bool:
        """Whether nothing is left to be answered."""
        return self.cycle is None or self.cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse_head(self) -> None:
        if self._answered:
            self.transport.write(_HEAD_TOO_LONG)
            self.transport.close()
        else:
            self.transport.abort()


def end_unfinished(connections: Iterable[Any], most: int = _MOST_UNFINISHED) -> None:
    """Hangs up on those with the longest unfinished heads, until all of them together take at most `most` bytes."""
    by_length = sorted((each for each in connections if isinstance(each, Connection)), key=lambda each: each.unfinished)
    total = sum(each.unfinished for each in by_length)
    while total > most:
        total -= by_length[-1].unfinished
        by_length.pop().transport.abort()


def _without_upgrade(data: bytes) -> bytes:
    """A request that does not ask for HTTP/2, as Java's client does: the parser would take what follows for HTTP/2."""
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest


def _is_gone(transport: asyncio.Transport) -> bool:
    """Whether the other side has ended the connection, though something that it sent may not be read yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), _HUNG_UP)
    return bool(poll.poll(0))


class _Flow(FlowControl):
    """Reads on only while no request is in `line`."""

    def __init__(self, transport: asyncio.Transport, line: Sized) -> None:
        super().__init__(transport)
        self._line = line

    def resume_reading(self) -> None:
        if not self._line:
            super().resume_reading()


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
            is_large = sum(map(len, self._written)) > _LARGE  # not worth a copy
            # Not `writelines`: asyncio's own pauses nobody on 3.12 to 3.12.8, 3.13.0 and 3.13.1 (CVE-2024-12254).
            for piece in self._written if is_large else [b"".join(self._written)]:
                self._transport.write(piece)
        self._written = []
