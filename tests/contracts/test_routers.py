"""One suite for every router; then what only a real gateway can lose: requests, files, its own life."""

import asyncio
import contextlib
import http.client
import itertools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import pytest

from deployments.clock import SystemClock
from deployments.errors import NotFound, RouterRefused, RouterUnreachable
from deployments.routers.envoy import EnvoyRouter, Patience, drain, prepare
from deployments.routers.envoy.admin import Admin
from deployments.routers.envoy.complaints import Complaints
from deployments.routers.envoy.files import EnvoyFiles, read_document, write_document
from deployments.routers.envoy.publishing import Publisher
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights

ENOUGH = timedelta(seconds=10)
IMPATIENT = Patience(ready=timedelta(seconds=0.6), drain=timedelta(seconds=3))
WORKERS = 4
PROJECT = Path(__file__).resolve().parents[2]
_names = itertools.count(1)


@dataclass
class Behaviour:
    """How the servers answer; `gate` is closed to keep requests in flight, `sick` are versions that are not ready."""

    gate: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    sick: set[int] = field(default_factory=set)
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
        if path == b"/held":
            self.behaviour.waiting += 1
            self.behaviour.held.add(asyncio.ensure_future(self.answer_later()))
        elif path == b"/v2/health/ready" and self.version in self.behaviour.sick:
            self.answer(b"503 Service Unavailable")
        else:
            self.answer()

    async def answer_later(self) -> None:
        while not self.behaviour.gate.is_set():
            await asyncio.sleep(0.005)
        self.answer()

    def answer(self, status: bytes = b"200 OK") -> None:
        body = str(self.version).encode()
        assert self.transport is not None
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


class World(Protocol):
    """What a router is tried on."""

    @property
    def router(self) -> EnvoyRouter | InMemoryRouter: ...

    def server(self, version: int) -> str: ...

    def dead(self) -> str: ...

    def ask(self, product: str, count: int, keys: Callable[[int], str | None] = ...) -> list[int]: ...

    def unroute(self, product: str) -> None: ...

    def held(self, product: str) -> contextlib.AbstractContextManager[None]: ...


class InMemoryWorld:
    """A router in memory and the addresses at which it finds servers."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()
        self.router = InMemoryRouter(answers=self.addresses.__contains__, seed=7)

    def server(self, version: int) -> str:
        address = f"/servers/{version}-{len(self.addresses)}.sock"
        self.addresses.add(address)
        return address

    def dead(self) -> str:
        return "/servers/dead.sock"

    def ask(self, product: str, count: int, keys: Callable[[int], str | None] = lambda _: None) -> list[int]:
        return [self._ask(product, keys(number)) for number in range(count)]

    def unroute(self, product: str) -> None:
        self.router.remove(product)

    @contextlib.contextmanager
    def held(self, product: str) -> Iterator[None]:
        with self.router.request(product):
            yield

    def _ask(self, product: str, key: str | None) -> int:
        try:
            with self.router.request(product, key) as version:
                return version
        except NotFound:
            return -404


class EnvoyWorld:
    """A real gateway and real servers behind it."""

    def __init__(self, gateway: Gateway, servers: Servers) -> None:
        self.gateway, self.servers = gateway, servers
        self.router = gateway.router()

    def server(self, version: int) -> str:
        return self.servers.start(version)

    def dead(self) -> str:
        return self.servers.address()

    def ask(self, product: str, count: int, keys: Callable[[int], str | None] = lambda _: None) -> list[int]:
        return ask(self.gateway.port, product, count, keys)

    def unroute(self, product: str) -> None:
        table = read_document(self.gateway.folder / "rds.json")
        assert table is not None
        host = table["resources"][0]["virtual_hosts"][0]
        host["routes"] = [route for route in host["routes"] if route["name"] != product]
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


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # A socket's path must be short.
    made = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def servers(folder: Path) -> Iterator[Servers]:
    made = Servers(folder)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared_gateway(folder: Path) -> Iterator[Gateway]:
    gateway = Gateway(folder)
    gateway.start()
    yield gateway
    gateway.stop()


@pytest.fixture
def real(shared_gateway: Gateway, servers: Servers) -> Iterator[EnvoyWorld]:
    made = EnvoyWorld(shared_gateway, servers)
    yield made
    for record in (shared_gateway.folder / "products").glob("*.json"):
        made.router.remove(record.stem)


@pytest.fixture(params=["in_memory", "envoy"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "in_memory":
        return InMemoryWorld()
    envoy: EnvoyWorld = request.getfixturevalue("real")
    return envoy


@pytest.fixture
def own(servers: Servers, folder: Path) -> Iterator[EnvoyWorld]:
    """A gateway that the test may kill."""
    place = folder / f"own{next(_names)}"
    place.mkdir()
    gateway = Gateway(place)
    gateway.start()
    yield EnvoyWorld(gateway, servers)
    gateway.stop()


@pytest.fixture
def product() -> str:
    return f"product-{next(_names)}"


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


def get(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST" if body is not None else "GET", path, body)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def ask(port: int, product: str, count: int, keys: Callable[[int], str | None]) -> list[int]:
    """Versions that answered, in order; a failure is its negative code, and -1 is a connection that broke."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    answers = []
    for number in range(count):
        key = keys(number)
        try:
            connection.request("POST", f"/{product}/invocations", b"{}", {"x-seatrial-key": key} if key else {})
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
            answers.extend(ask(port, product, 20, lambda _: None))

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


def two(first: str, second: str, percent: int) -> Routing:
    return Routing((Backend(1, (first,)), Backend(2, (second,))), Weights({1: 100 - percent, 2: percent}))


def test_a_product_that_was_never_applied_has_no_route(world: World, product: str) -> None:
    assert world.router.read(product) is None
    assert world.router.in_flight(product, 1) == 0
    assert world.router.counts(product) == {}
    assert set(world.ask(product, 3)) == {-404}


def test_what_is_applied_is_what_is_read(world: World, product: str) -> None:
    backends = (
        Backend(1, (world.server(1),)),
        Backend(2, (world.server(2), world.server(2))),
        Backend(3, (world.server(3),)),
    )
    routing = Routing(backends, Weights({1: 67, 2: 33, 3: 0}))
    world.router.apply(product, routing)
    assert world.router.read(product) == routing
    world.router.apply(product, routing)
    assert world.router.read(product) == routing


def test_back_ends_come_back_in_ascending_order_and_without_empty_ones(world: World, product: str) -> None:
    first, second = Backend(1, (world.server(1),)), Backend(2, (world.server(2),))
    world.router.apply(product, Routing((second, Backend(3, ()), first), Weights({2: 100, 3: 0})))
    assert world.router.read(product) == Routing((first, second), Weights({2: 100}))


@pytest.mark.parametrize("percent", [10, 75])
def test_weights_are_honoured(world: World, product: str, percent: int) -> None:
    world.router.apply(product, two(world.server(1), world.server(2), percent))
    count = 1000
    got = Counter(world.ask(product, count))
    # Four standard deviations of a binomial: one false alarm in 16,000 runs.
    allowed = 4 * (count * percent * (100 - percent)) ** 0.5 / 100
    assert set(got) == {1, 2}
    assert abs(got[2] - count * percent / 100) < allowed


def test_a_version_of_weight_0_gets_nothing(world: World, product: str) -> None:
    world.router.apply(product, two(world.server(1), world.server(2), 0))
    assert Counter(world.ask(product, 300)) == {1: 300}


def test_moving_all_traffic_moves_the_very_next_request(world: World, product: str) -> None:
    first, second = world.server(1), world.server(2)
    world.router.apply(product, one(1, first))
    assert set(world.ask(product, 20)) == {1}
    world.router.apply(product, one(2, second))
    assert set(world.ask(product, 20)) == {2}
    assert world.router.read(product) == one(2, second)


def test_a_key_keeps_its_version_and_only_joins_the_one_that_grows(world: World, product: str) -> None:
    first, second = world.server(1), world.server(2)

    def versions(percent: int) -> list[int]:
        world.router.apply(product, two(first, second, percent))
        return world.ask(product, 300, lambda number: f"user-{number}")

    few, again, many = versions(20), versions(20), versions(50)
    assert few == again
    assert 30 < few.count(2) < 95
    assert 110 < many.count(2) < 190
    assert all(later == 2 for earlier, later in zip(few, many, strict=True) if earlier == 2)


def test_a_server_that_is_not_there_is_refused_and_the_former_routing_stays(world: World, product: str) -> None:
    first, dead = world.server(1), world.dead()
    world.router.apply(product, one(1, first))
    with pytest.raises(RouterRefused, match=f"{product}.*v2.*{dead}"):
        world.router.apply(product, two(first, dead, 10))
    assert world.router.read(product) == one(1, first)
    assert set(world.ask(product, 50)) == {1}


def test_a_first_routing_that_is_refused_leaves_no_route(world: World, product: str) -> None:
    with pytest.raises(RouterRefused):
        world.router.apply(product, one(1, world.dead()))
    assert world.router.read(product) is None
    assert set(world.ask(product, 3)) == {-404}


@pytest.mark.parametrize(
    "address", ["relative/x.sock", "nonsense", "127.0.0.1:0", "127.0.0.1:99999", f"/{'long' * 30}.sock"]
)
def test_an_address_that_can_be_none_is_refused(world: World, product: str, address: str) -> None:
    with pytest.raises(RouterRefused, match="v1"):
        world.router.apply(product, one(1, address))


@pytest.mark.parametrize("name", ["v2", "seatrial", "Flights", "a.b", "../a", "a" * 41, ""])
def test_a_name_that_can_be_no_path_is_refused(world: World, name: str) -> None:
    with pytest.raises(RouterRefused):
        world.router.apply(name, one(1, world.server(1)))
    assert world.router.read(name) is None


@pytest.mark.parametrize("name", ["z" * 40, "a-1-" * 10])
def test_the_longest_name_that_a_spec_may_have_is_served(world: World, name: str) -> None:
    world.router.apply(name, one(7, world.server(7)))
    assert set(world.ask(name, 3)) == {7}
    world.router.remove(name)


def test_products_do_not_disturb_each_other(world: World, product: str) -> None:
    other = f"{product}-too"
    mine, theirs = one(1, world.server(1)), one(7, world.server(7))
    world.router.apply(product, mine)
    world.router.apply(other, theirs)
    world.router.apply(product, one(2, world.server(2)))
    assert world.router.read(other) == theirs
    assert (set(world.ask(product, 20)), set(world.ask(other, 20))) == ({2}, {7})
    world.router.remove(product)
    assert (set(world.ask(product, 20)), set(world.ask(other, 20))) == ({-404}, {7})


def test_a_removed_product_is_forgotten_and_may_come_back(world: World, product: str) -> None:
    routing = one(1, world.server(1))
    world.router.apply(product, routing)
    world.router.remove(product)
    world.router.remove(product)
    assert world.router.read(product) is None
    world.router.apply(product, routing)
    assert set(world.ask(product, 5)) == {1}


def test_removing_a_product_that_never_was_changes_nothing(world: World) -> None:
    world.router.remove("../../never-was")


def test_requests_in_flight_are_seen_until_they_are_answered(world: World, product: str) -> None:
    world.router.apply(product, one(1, world.server(1)))
    with world.held(product):
        assert (world.router.in_flight(product, 1), world.router.in_flight(product, 2)) == (1, 0)
    eventually(lambda: world.router.in_flight(product, 1) == 0)


def test_every_answer_is_counted_under_its_version_and_code(world: World, product: str) -> None:
    world.router.apply(product, two(world.server(1), world.server(2), 50))
    got = Counter(world.ask(product, 200))
    assert world.router.counts(product) == {version: {200: count} for version, count in got.items()}
    assert world.router.counts(product[:-1]) == {}


def test_a_route_that_somebody_took_away_is_missed_by_read_and_repaired_by_apply(world: World, product: str) -> None:
    routing = one(1, world.server(1))
    world.router.apply(product, routing)
    world.unroute(product)
    assert world.router.read(product) is None
    assert set(world.ask(product, 3)) == {-404}
    world.router.apply(product, routing)
    assert world.router.read(product) == routing
    assert set(world.ask(product, 3)) == {1}


def test_a_rolling_switch_under_constant_load_loses_nothing(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, one(1, first))
    with constant_load(real.gateway.port, product) as answers:
        for percent in (1, 25, 50, 100):
            real.router.apply(product, two(first, second, percent))
        real.router.apply(product, one(2, second))
        moved = len(answers)
        real.servers.stop(first)
        eventually(lambda: len(answers) > max(1500, moved + 200))
    got = Counter(answers)
    assert set(got) == {1, 2}
    assert got[1] > 100
    # What clients got and what the gateway counted is the same, to the request.
    assert real.router.counts(product) == {1: {200: got[1]}, 2: {200: got[2]}}


def test_servers_are_replaced_one_by_one_under_load_without_a_loss(real: EnvoyWorld, product: str) -> None:
    former = (real.server(1), real.server(1))
    real.router.apply(product, one(1, *former))
    with constant_load(real.gateway.port, product) as answers:
        for _ in range(2):
            fresh = (former[1], real.server(1))
            real.router.apply(product, one(1, *fresh))
            real.servers.stop(former[0])
            former = fresh
        last = real.server(1)
        real.router.apply(product, one(1, last))
        for address in former:
            real.servers.stop(address)
        moved = len(answers)
        eventually(lambda: len(answers) > moved + 100)
    assert set(answers) == {1}
    assert real.router.read(product) == one(1, last)


def test_a_server_that_is_still_starting_is_waited_for(real: EnvoyWorld, product: str) -> None:
    first, late = real.server(1), real.dead()
    real.router.apply(product, one(1, first))
    starting = threading.Timer(0.2, real.servers.start, (2, late))
    starting.start()
    with constant_load(real.gateway.port, product) as answers:
        real.router.apply(product, one(2, late))
        eventually(lambda: answers[-1:] == [2])
    starting.join()
    assert set(answers) == {1, 2}


def test_a_dead_canary_does_not_stand_in_the_way_of_its_rollback(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, two(first, second, 10))
    real.servers.stop(second)
    eventually(lambda: -503 in real.ask(product, 50))
    time.sleep(1.2)  # the health check, once a second, has noticed too
    real.router.apply(product, two(first, second, 0))
    assert set(real.ask(product, 50)) == {1}
    real.router.apply(product, one(1, first))
    assert real.router.read(product) == one(1, first)


def test_a_server_that_says_it_is_not_ready_gets_nothing(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(66, real.server(66)))
    assert set(real.ask(product, 5)) == {66}
    real.servers.behaviour.sick.add(66)
    eventually(lambda: set(real.ask(product, 5)) == {-503})
    real.servers.behaviour.sick.clear()
    eventually(lambda: set(real.ask(product, 5)) == {66})


class Interrupted(SystemClock):
    """A clock on which Ctrl-C is pressed at the first wait, once."""

    def __init__(self) -> None:
        self.pressed = False

    def sleep(self, duration: timedelta) -> None:
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt
        super().sleep(duration)


def test_an_apply_that_is_interrupted_while_it_waits_is_undone(real: EnvoyWorld, product: str) -> None:
    first, late, gateway = real.server(1), real.dead(), real.gateway
    real.router.apply(product, one(1, first))
    before = contents(gateway.folder)
    router = EnvoyRouter(gateway.folder, gateway.run_folder, Interrupted(), patience=IMPATIENT)
    with pytest.raises(KeyboardInterrupt):
        router.apply(product, two(first, late, 50))
    assert real.router.read(product) == one(1, first)
    assert contents(gateway.folder) == before


def publisher(gateway: Gateway) -> Publisher:
    files = EnvoyFiles(gateway.folder, gateway.run_folder)
    return Publisher(files, Admin(files.admin_socket), SystemClock(), IMPATIENT, Complaints(gateway.log))


def test_traffic_that_has_moved_already_can_be_put_back(own: EnvoyWorld, product: str) -> None:
    former, wanted = one(1, own.server(1)), one(2, own.server(2))
    own.router.apply(product, former)
    before = contents(own.gateway.folder)
    steps = publisher(own.gateway)
    steps.add_servers({product: wanted})
    steps.await_servers(product, former, wanted)
    steps.move_traffic({product: wanted})
    assert set(own.ask(product, 5)) == {2}
    steps.put_back(product, {product: former})
    assert set(own.ask(product, 5)) == {1}
    assert own.router.read(product) == former
    assert contents(own.gateway.folder) == before


def test_a_route_that_the_running_gateway_refuses_is_reported_with_its_reason(own: EnvoyWorld, product: str) -> None:
    with pytest.raises(RouterRefused, match=f"rds.json: .*unknown.* cluster '{product}_v1'"):
        publisher(own.gateway).move_traffic({product: one(1, own.server(1))})
    assert own.router.read(product) is None
    own.router.apply(product, one(1, own.server(1)))
    assert set(own.ask(product, 5)) == {1}


def test_a_gateway_that_reads_other_files_is_noticed(real: EnvoyWorld, product: str, tmp_path: Path) -> None:
    patience = replace(IMPATIENT, confirm=timedelta(seconds=0.2))
    router = EnvoyRouter(tmp_path, real.gateway.run_folder, SystemClock(), patience=patience)
    with pytest.raises(RouterUnreachable, match=r"did not take .*cds\.json within 0\.2 s"):
        router.apply(product, one(1, real.server(1)))


def test_a_version_that_goes_first_answers_what_it_has(real: EnvoyWorld, product: str) -> None:
    first, second = real.server(1), real.server(2)
    real.router.apply(product, one(1, first))
    with ThreadPoolExecutor(1) as pool, real.held(product):
        moving = pool.submit(real.router.apply, product, one(2, second))
        eventually(lambda: set(real.ask(product, 5)) == {2})
        time.sleep(0.1)
        assert not moving.done()
        assert real.router.in_flight(product, 1) == 1
        real.servers.behaviour.gate.set()
        moving.result(10)
    assert real.router.read(product) == one(2, second)


def test_a_version_that_does_not_finish_in_time_goes_with_a_later_call(real: EnvoyWorld, product: str) -> None:
    second = real.server(2)
    router = real.gateway.router(replace(IMPATIENT, drain=timedelta(0)))
    router.apply(product, one(1, real.server(1)))
    with real.held(product):
        router.apply(product, one(2, second))
        assert router.in_flight(product, 1) == 1
        known = router.read(product)
        assert known is not None
        assert [backend.version for backend in known.backends] == [1, 2]
        assert known.weights == Weights.all_to(2)
    router.apply(product, one(2, second))
    assert router.read(product) == one(2, second)


def test_two_processes_that_apply_at_once_keep_both_products(real: EnvoyWorld, product: str) -> None:
    products = [f"{product}-a", f"{product}-b"]
    addresses = [real.server(1), real.server(1)]
    writers = [writer(real, name, address) for name, address in zip(products, addresses, strict=True)]
    assert [each.wait(30) for each in writers] == [0, 0]
    for name, address in zip(products, addresses, strict=True):
        assert real.router.read(name) == one(1, address)
        assert set(real.ask(name, 5)) == {1}


WRITER = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from deployments.clock import SystemClock
from deployments.routers.envoy import EnvoyRouter, Patience
from deployments.traffic import Backend, Routing, Weights

folder, run_folder, product, version, address, last = sys.argv[1:]
left = int(last)

def die_at_the_last_rename(event, arguments):
    global left
    if event == "os.rename" and left:
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die_at_the_last_rename)
router = EnvoyRouter(Path(folder), Path(run_folder), SystemClock(), patience=Patience(ready=timedelta(seconds=2)))
router.apply(product, Routing((Backend(int(version), (address,)),), Weights.all_to(int(version))))
"""


def writer(
    world: EnvoyWorld, product: str, address: str, version: int = 1, last_rename: int = 0
) -> subprocess.Popen[bytes]:
    """Another process that applies; with `last_rename` it is killed just before that rename."""
    arguments = (world.gateway.folder, world.gateway.run_folder, product, version, address, last_rename)
    return subprocess.Popen([sys.executable, "-c", WRITER, *map(str, arguments)], cwd=PROJECT)


def test_a_writer_killed_between_any_two_writes_leaves_the_old_or_the_new(own: EnvoyWorld, product: str) -> None:
    first, second, other = own.server(1), own.server(2), own.server(9)
    ends = []
    for last_rename in itertools.count(1):
        own.router.apply(product, one(1, first))
        code = writer(own, product, second, version=2, last_rename=last_rename).wait(30)
        left = own.router.read(product)
        assert left is not None
        assert left.weights in (Weights.all_to(1), Weights.all_to(2))
        # Somebody else's call neither loses the product nor moves its traffic.
        own.router.apply("other", one(9 + last_rename % 2, other))
        seen = own.router.read(product)
        assert seen is not None
        assert seen.weights == left.weights
        assert set(own.ask(product, 5)) == set(left.weights.percents)
        ends.append(next(iter(left.weights.percents)))
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert ends == sorted(ends)
    assert len(ends) > 5
    assert (ends[0], ends[-1]) == (1, 2)
    own.router.apply(product, one(2, second))
    assert own.router.read(product) == one(2, second)


def test_a_gateway_that_starts_again_on_another_port_has_the_same_routing(own: EnvoyWorld, product: str) -> None:
    routing = two(own.server(1), own.server(2), 30)
    own.router.apply(product, routing)
    own.gateway.stop()
    own.gateway.port = free_port()
    own.gateway.start()
    eventually(lambda: set(own.ask(product, 30)) == {1, 2})
    assert own.router.read(product) == routing


def test_a_keeper_may_start_the_same_command_again_without_preparing(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    assert own.gateway.process is not None
    command = own.gateway.process.args
    own.gateway.stop(signal.SIGKILL)
    with own.gateway.log.open("ab") as log:
        own.gateway.process = subprocess.Popen(command, stderr=log)
    eventually(lambda: set(own.ask(product, 5)) == {1})
    assert own.router.read(product) == routing


def test_files_that_went_missing_are_written_again(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    own.gateway.stop()
    shutil.rmtree(own.gateway.folder / "eds")
    for name in ("rds.json", "cds.json", "bootstrap.json"):
        (own.gateway.folder / name).unlink()
    own.gateway.start()
    eventually(lambda: set(own.ask(product, 5)) == {1})
    assert own.router.read(product) == routing


def test_a_gateway_that_is_down_is_unreachable_and_nothing_is_written(own: EnvoyWorld, product: str) -> None:
    routing = one(1, own.server(1))
    own.router.apply(product, routing)
    own.gateway.stop()
    before = contents(own.gateway.folder)
    for call in (
        lambda: own.router.apply(product, one(2, own.server(2))),
        lambda: own.router.remove(product),
        lambda: own.router.read(product),
        lambda: own.router.in_flight(product, 1),
        lambda: own.router.counts(product),
    ):
        with pytest.raises(RouterUnreachable, match=r"envoy\.sock"):
            call()
    assert contents(own.gateway.folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_weights_edited_by_hand_are_read_as_they_are_live(real: EnvoyWorld, product: str) -> None:
    routing = two(real.server(1), real.server(2), 10)
    real.router.apply(product, routing)
    edit = real.gateway.folder / "rds.json"
    text = edit.read_text()
    write_document(
        edit, json.loads(text.replace('"weight": 9000', '"weight": 1').replace('"weight": 1000', '"weight": 2'))
    )
    eventually(lambda: real.router.read(product) == replace(routing, weights=Weights({1: 33, 2: 67})))
    real.router.apply(product, routing)
    assert real.router.read(product) == routing


def test_an_edit_in_place_is_not_live_and_is_repaired(real: EnvoyWorld, product: str) -> None:
    routing = one(1, real.server(1))
    real.router.apply(product, routing)
    (real.gateway.folder / "rds.json").write_text("{}")
    assert real.router.read(product) == routing
    real.router.apply(product, routing)
    assert product in (real.gateway.folder / "rds.json").read_text()
    assert set(real.ask(product, 5)) == {1}


def test_a_refusal_carries_the_reason_of_the_gateway(real: EnvoyWorld, product: str) -> None:
    with pytest.raises(RouterRefused, match="malformed IP address: localhost"):
        real.router.apply(product, one(1, "localhost:8000"))


def test_servers_may_listen_on_ports(real: EnvoyWorld, product: str) -> None:
    port = free_port()
    made = real.servers.loop.create_server(lambda: Connection(4, real.servers.behaviour), "127.0.0.1", port)
    listening = asyncio.run_coroutine_threadsafe(made, real.servers.loop).result(10)
    real.router.apply(product, one(4, f"127.0.0.1:{port}"))
    assert real.router.read(product) == one(4, f"127.0.0.1:{port}")
    assert set(real.ask(product, 5)) == {4}
    real.router.remove(product)
    real.servers.loop.call_soon_threadsafe(listening.close)


def test_every_way_to_a_product_leads_to_it_and_no_other_does(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    ways = (
        f"/{product}/invocations",
        f"/v2/models/{product}",
        f"/v2/models/{product}/infer",
        f"/v2/models/{product}?x=1",
    )
    assert [get(real.gateway.port, way)[0] for way in ways] == [200] * len(ways)
    strays = (f"/{product}", f"/{product}x/invocations", f"/v2/models/{product}x", f"/v2/{product}/", f"/x/{product}/")
    for stray in strays:
        status, body = get(real.gateway.port, stray)
        assert status == 404
        assert "no product at this path; use /<product>/invocations" in json.loads(body)["error"]


def test_the_gateway_says_that_it_is_up_without_any_product(own: EnvoyWorld) -> None:
    assert get(own.gateway.port, "/seatrial/health") == (200, b'{"status": "up"}')
    assert get(own.gateway.port, "/nothing")[0] == 404


def test_a_body_over_the_limit_is_refused_before_a_server_sees_it(real: EnvoyWorld, product: str) -> None:
    real.router.apply(product, one(1, real.server(1)))
    assert get(real.gateway.port, f"/{product}/invocations", b"x" * 7_000_000)[0] == 200
    status, body = get(real.gateway.port, f"/{product}/invocations", b"x" * 9_000_000)
    assert (status, "error" in json.loads(body)) == (413, True)


def test_a_product_whose_only_server_died_answers_503_at_once(real: EnvoyWorld, product: str) -> None:
    address = real.server(1)
    real.router.apply(product, one(1, address))
    real.servers.stop(address)
    eventually(lambda: get(real.gateway.port, f"/{product}/invocations")[0] == 503)
    assert real.router.counts(product)[1][503] >= 1


def test_the_admin_socket_is_private_and_takes_no_orders(real: EnvoyWorld) -> None:
    path = real.gateway.run_folder / "envoy.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /quitquitquit HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b" 403 " in client.recv(100)


def test_a_taken_port_ends_the_gateway_with_an_error(own: EnvoyWorld, folder: Path) -> None:
    place = folder / f"second{next(_names)}"
    place.mkdir()
    command = prepare(place / "gateway", place, "127.0.0.1", own.gateway.port)
    second = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert second.returncode != 0
    assert b"Address already in use" in second.stderr


def test_a_gateway_that_is_drained_first_cuts_nobody_off(own: EnvoyWorld, product: str) -> None:
    own.router.apply(product, one(1, own.server(1)))
    clock = SystemClock()
    with own.held(product):
        assert not drain(own.gateway.run_folder, clock, timedelta(seconds=0.1))
        assert own.router.in_flight(product, 1) == 1
    assert drain(own.gateway.run_folder, clock, ENOUGH)
    own.gateway.stop()
    assert drain(own.gateway.run_folder, clock, ENOUGH)
