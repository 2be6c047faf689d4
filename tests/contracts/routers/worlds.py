"""What routers are tried on: a dict, or a real gateway with real servers behind it."""

import asyncio
import contextlib
import http.client
import itertools
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from deployments.clock import SystemClock
from deployments.errors import NotFound, RouterUnreachable
from deployments.routers.envoy import EnvoyRouter, Patience, prepare
from deployments.routers.envoy.files import read_document, write_document
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights

ENOUGH = timedelta(seconds=10)
IMPATIENT = Patience(ready=timedelta(seconds=0.6), drain=timedelta(seconds=3))
WORKERS = 4
NOTHING: Mapping[str, str] = {}


@dataclass
class Behaviour:
    """How the servers answer, and what they heard.

    `gate` is closed to keep requests in flight, `sick` versions are not ready, `failing` ones answer 500, `slow` ones
    after so many seconds. `heard` holds version and head of each request but health checks.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    sick: set[int] = field(default_factory=set)
    failing: set[int] = field(default_factory=set)
    slow: dict[int, float] = field(default_factory=dict)
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
        elif self.version in self.behaviour.failing:
            self.answer(b"500 Internal Server Error")
        elif self.version in self.behaviour.slow:
            asyncio.get_running_loop().call_later(self.behaviour.slow[self.version], self.answer)
        else:
            self.answer()

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
        Path(address).unlink()

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


class Gateway:
    """A real Envoy on a free port, with its files in a short folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run_folder, self.log = folder / "gateway", folder, folder / "envoy.log"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def router(self, patience: Patience = IMPATIENT) -> EnvoyRouter:
        return EnvoyRouter(self.folder, self.run_folder, SystemClock(), self.log, patience)

    def start(self) -> None:
        command = prepare(self.folder, self.run_folder, "127.0.0.1", self.port)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        eventually(lambda: get(self.port, "/seatrial/health")[0] == 200)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None


Sent = Callable[[int], Mapping[str, str]]


def nothing(_number: int) -> Mapping[str, str]:
    return NOTHING


class World(Protocol):
    """What a router is tried on."""

    @property
    def router(self) -> EnvoyRouter | InMemoryRouter: ...

    def server(self, version: int) -> str: ...

    def dead(self) -> str: ...

    def stop(self, address: str) -> None: ...

    def restart(self) -> None: ...

    def fail(self, version: int) -> contextlib.AbstractContextManager[None]: ...

    def delay(self, version: int, milliseconds: float) -> contextlib.AbstractContextManager[None]: ...

    def copies(self, version: int) -> int: ...

    def ask(
        self,
        product: str,
        count: int,
        keys: Sent = ...,
        headers: Mapping[str, str] = ...,
        cookies: Sent = ...,
    ) -> list[int]: ...

    def unroute(self, product: str) -> None: ...

    def held(self, product: str) -> contextlib.AbstractContextManager[None]: ...


class InMemoryWorld:
    """A router in memory and the addresses at which it finds servers."""

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}
        self.failing: set[int] = set()
        self.delays: dict[int, float] = {}
        self.mirrored: Counter[int] = Counter()
        self.router = InMemoryRouter(answers=self.addresses.__contains__, seed=7, mirrored=self._copy)

    def server(self, version: int) -> str:
        address = f"/servers/{version}-{len(self.addresses)}.sock"
        self.addresses[address] = version
        return address

    def dead(self) -> str:
        return "/servers/dead.sock"

    def stop(self, address: str) -> None:
        del self.addresses[address]

    def restart(self) -> None:
        self.router.restart()

    @contextlib.contextmanager
    def fail(self, version: int) -> Iterator[None]:
        self.failing.add(version)
        yield
        self.failing.remove(version)

    @contextlib.contextmanager
    def delay(self, version: int, milliseconds: float) -> Iterator[None]:
        self.delays[version] = milliseconds
        yield
        del self.delays[version]

    def copies(self, version: int) -> int:
        return self.mirrored[version]

    def ask(
        self,
        product: str,
        count: int,
        keys: Sent = nothing,
        headers: Mapping[str, str] = NOTHING,
        cookies: Sent = nothing,
    ) -> list[int]:
        return [self._ask(product, {**headers, **keys(number)}, cookies(number)) for number in range(count)]

    def unroute(self, product: str) -> None:
        self.router.remove(product)

    @contextlib.contextmanager
    def held(self, product: str) -> Iterator[None]:
        with self.router.request(product):
            yield

    def _copy(self, _product: str, version: int) -> None:
        if version not in self.addresses.values():
            raise ConnectionRefusedError
        self.mirrored[version] += 1

    def _ask(self, product: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> int:
        latency_ms = min(self.delays.values(), default=0.1)
        try:
            with self.router.request(product, None, headers, cookies, latency_ms) as version:
                if version in self.failing:
                    raise ArithmeticError
                return version
        except NotFound:
            return -404
        except ArithmeticError:
            return -500


class EnvoyWorld:
    """A real gateway and real servers behind it."""

    def __init__(self, gateway: Gateway, servers: Servers) -> None:
        self.gateway, self.servers = gateway, servers
        self.router = gateway.router()

    def server(self, version: int) -> str:
        return self.servers.start(version)

    def dead(self) -> str:
        return self.servers.address()

    def stop(self, address: str) -> None:
        self.servers.stop(address)

    def restart(self) -> None:
        self.gateway.stop()
        self.gateway.start()

    @contextlib.contextmanager
    def fail(self, version: int) -> Iterator[None]:
        self.servers.behaviour.failing.add(version)
        yield
        self.servers.behaviour.failing.remove(version)

    @contextlib.contextmanager
    def delay(self, version: int, milliseconds: float) -> Iterator[None]:
        self.servers.behaviour.slow[version] = milliseconds / 1000
        yield
        del self.servers.behaviour.slow[version]

    def copies(self, version: int) -> int:
        return sum("x-seatrial-mirrored: 1" in head for who, head in self.servers.behaviour.heard if who == version)

    def ask(
        self,
        product: str,
        count: int,
        keys: Sent = nothing,
        headers: Mapping[str, str] = NOTHING,
        cookies: Sent = nothing,
    ) -> list[int]:
        def sent(number: int) -> Mapping[str, str]:
            crumbs = "; ".join(f"{name}={value}" for name, value in cookies(number).items())
            return {**headers, **keys(number), **({"cookie": crumbs} if crumbs else {})}

        return ask(self.gateway.port, product, count, sent)

    def unroute(self, product: str) -> None:
        table = read_document(self.gateway.folder / "rds.json")
        assert table is not None
        host = table["resources"][0]["virtual_hosts"][0]
        host["routes"] = [route for route in host["routes"] if route["name"].partition(".")[0] != product]
        write_document(self.gateway.folder / "rds.json", table)
        eventually(lambda: self.router.read(product) is None)

    @contextlib.contextmanager
    def held(self, product: str) -> Iterator[None]:
        behaviour = self.servers.behaviour
        behaviour.gate.clear()
        before = behaviour.waiting
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(get, self.gateway.port, f"/{product}/held")
            eventually(lambda: behaviour.waiting > before)
            try:
                yield
            finally:
                behaviour.gate.set()
            assert answer.result(10)[0] == 200


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def eventually(claim: Callable[[], bool], within: timedelta = ENOUGH) -> None:
    deadline = time.monotonic() + within.total_seconds()
    while True:
        with contextlib.suppress(OSError, RouterUnreachable):
            if claim():
                return
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.01)


def get(port: int, path: str, body: bytes | None = None, headers: Mapping[str, str] = NOTHING) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body is not None else "GET", path, body, dict(headers))
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def users(number: int) -> Mapping[str, str]:
    """A different user with each request."""
    return {"x-seatrial-key": f"user-{number}"}


def ask(port: int, product: str, count: int, headers: Sent = nothing) -> list[int]:
    """Versions that answered, in order; a failure is its negative code, and -1 is a connection that broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    answers = []
    for number in range(count):
        try:
            connection.request("POST", f"/{product}/invocations", b"{}", dict(headers(number)))
            response = connection.getresponse()
            body = response.read()
            answers.append(int(body) if response.status == 200 else -response.status)
        except (OSError, http.client.HTTPException):
            connection.close()
            answers.append(-1)
    connection.close()
    return answers


@contextlib.contextmanager
def constant_load(port: int, product: str) -> Iterator[list[int]]:
    """Requests without a pause from several clients while the block runs; the list is complete after it."""
    answers: list[int] = []
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            answers.extend(ask(port, product, 20))

    with ThreadPoolExecutor(WORKERS) as pool:
        clients = [pool.submit(client) for _ in range(WORKERS)]
        try:
            yield answers
        finally:
            over.set()
        for each in clients:
            each.result(30)


def one(version: int, *addresses: str) -> Routing:
    return Routing((Backend(version, addresses),), Weights.all_to(version))


def two(first: str, second: str, percent: float) -> Routing:
    return Routing((Backend(1, (first,)), Backend(2, (second,))), Weights({1: 100 - percent, 2: percent}))


def requests(router: EnvoyRouter | InMemoryRouter, product: str) -> Counter[int]:
    """Counted requests by version."""
    return Counter({source.version: counts.requests for source, counts in router.tallies(product).items()})
