"""What routers are tried on: a dict, or a real gateway with real servers behind it."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from deployments.errors import NotFound
from deployments.routers.envoy import EnvoyRouter
from deployments.routers.envoy.config_files import read_document, write_document
from deployments.routers.in_memory import InMemoryRouter
from deployments.traffic import Backend, Routing, Weights
from tests.contracts.routers.gateway import NOTHING, Gateway, Sent, ask, eventually, get, headers_sent, nothing
from tests.contracts.routers.servers import Servers


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
        if version not in self.addresses.values() or version in self.failing:
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
        return ask(self.gateway.port, product, count, headers_sent(keys, headers, cookies))

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


def users(number: int) -> Mapping[str, str]:
    """A different user with each request."""
    return {"x-seatrial-key": f"user-{number}"}


def one(version: int, *addresses: str) -> Routing:
    return Routing((Backend(version, addresses),), Weights.all_to(version))


def two(first: str, second: str, percent: float) -> Routing:
    return Routing((Backend(1, (first,)), Backend(2, (second,))), Weights({1: 100 - percent, 2: percent}))


def requests(router: EnvoyRouter | InMemoryRouter, product: str) -> Counter[int]:
    """Counted requests by version."""
    found: Counter[int] = Counter()
    for source, counts in router.tallies(product).items():
        found[source.version] += counts.requests
    return found
