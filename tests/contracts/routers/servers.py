"""Model servers that a test can make slow, sick, failing or dead, and that tell what they heard."""

import asyncio
import itertools
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Behaviour:
    """How the servers answer, and what they heard.

    `gate` is closed to keep requests in flight, `sick` versions are not ready, `failing` ones answer 500, `slow` ones
    after so many seconds; `cutting` ones end the connection instead, so many times, `halving` ones always, in
    the midst of their answer. `heard` holds version and head of each request but health checks.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    sick: set[int] = field(default_factory=set)
    failing: set[int] = field(default_factory=set)
    slow: dict[int, float] = field(default_factory=dict)
    cutting: dict[int, int] = field(default_factory=dict)
    halving: set[int] = field(default_factory=set)
    heard: list[tuple[int, str]] = field(default_factory=list)
    held: set[asyncio.Task[None]] = field(default_factory=set)


class Connection(asyncio.Protocol):
    """Enough of HTTP/1.1 to answer every request with the server's version."""

    def __init__(self, version: int, behaviour: Behaviour) -> None:
        self.version, self.behaviour, self.received = version, behaviour, b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, rest = self.received.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        ]
        if not end or len(rest) < sum(lengths):
            return
        self.received = rest[sum(lengths) :]
        path = head.split(b" ")[1]
        if path == b"/v2/health/ready":
            self.answer(b"503 Service Unavailable" if self.version in self.behaviour.sick else b"200 OK")
            return
        self.behaviour.heard.append((self.version, head.decode()))
        if path == b"/held":
            self.behaviour.waiting += 1
            self.behaviour.held.add(asyncio.ensure_future(self.answer_later()))
        elif self.behaviour.cutting.get(self.version):
            self.behaviour.cutting[self.version] -= 1
            self.end()
        elif self.version in self.behaviour.halving:
            self.end(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        elif self.version in self.behaviour.failing:
            self.answer(b"500 Internal Server Error")
        elif self.version in self.behaviour.slow:
            asyncio.get_running_loop().call_later(self.behaviour.slow[self.version], self.answer)
        else:
            self.answer()

    def end(self, last: bytes = b"") -> None:
        if self.transport is not None:
            self.transport.write(last)
            self.transport.close()

    async def answer_later(self) -> None:
        while not self.behaviour.gate.is_set():
            await asyncio.sleep(0.005)
        self.answer()

    def answer(self, status: bytes = b"200 OK") -> None:
        body = str(self.version).encode()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body))


class Servers:
    """Model servers on Unix sockets, all in one thread."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.behaviour = folder, Behaviour()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.running: dict[str, asyncio.AbstractServer] = {}
        self.open: dict[str, list[asyncio.BaseTransport]] = {}
        self.numbers = itertools.count(1)

    def address(self) -> str:
        return str(self.folder / f"{next(self.numbers)}.sock")

    def start(self, version: int, address: str | None = None) -> str:
        address = address or self.address()
        made = self.loop.create_unix_server(lambda: self._track(address, Connection(version, self.behaviour)), address)
        self.running[address] = asyncio.run_coroutine_threadsafe(made, self.loop).result(10)
        return address

    def stop(self, address: str) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(address), self.loop).result(10)
        Path(address).unlink(missing_ok=True)  # from 3.13 on asyncio has removed it

    def close(self) -> None:
        self.behaviour.gate.set()
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def _track(self, address: str, connection: Connection) -> Connection:
        made = connection.connection_made

        def remembered(transport: asyncio.BaseTransport) -> None:
            self.open.setdefault(address, []).append(transport)
            made(transport)

        connection.connection_made = remembered  # type: ignore[method-assign]
        return connection

    async def _stop(self, address: str) -> None:
        self.running.pop(address).close()
        for transport in self.open.pop(address, []):
            transport.close()
        await asyncio.sleep(0.01)

    async def _close(self) -> None:
        for address in tuple(self.running):
            await self._stop(address)
