"""The contract of routers on a real cluster: by its Gateway, and by a plain Service; pods answer that only stand in."""

import contextlib
import itertools
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.clock import SystemClock
from deployments.cluster import Cluster, object_name
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT, labels_of
from deployments.cluster.resource_kinds import HTTP_ROUTE, SERVICE, Kind
from deployments.errors import RouterRefused
from deployments.metrics.pods import PodCounters
from deployments.routers.canonical_routing import accepted
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.kubernetes_service import ServiceRouter
from deployments.routers.protocol import Router
from deployments.traffic import Backend, Mirror, Routing, Weights
from tests.cluster.conftest import Front, wait_until
from tests.cluster.stand_ins import StandIns, sweep_services
from tests.cluster.suites import cases_of
from tests.contracts.routers import test_routing, test_strategies, test_tallies
from tests.contracts.routers.cluster_worlds import Deployed
from tests.contracts.routers.gateway import NOTHING, Sent, ask, eventually, headers_sent, nothing

# The suites themselves, without what our own gateway promises besides.
for suite in (test_routing, test_strategies, test_tallies):
    # What a pod counted goes with it, and nobody counts a copy that no pod got: see the case below.
    uncounted = {"test_what_becomes_of_mirrored_copies_is_counted_apart"} if suite is test_tallies else ()
    globals().update(cases_of(suite, "world", "splitting", but=uncounted))

_names = itertools.count(1)


class Counting:
    """What the pods count, but not who has counted nothing yet; and no latencies, which stand-ins do not measure."""

    def __init__(self, counters: PodCounters) -> None:
        self._counters = counters

    def in_flight(self, product: str, version: int) -> int:
        return self._counters.in_flight(product, version)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        return _counted(self._counters.tallies(product))

    def copies(self, product: str) -> Mapping[Source, Counts]:
        return _counted(self._counters.copies(product))


def _counted(found: Mapping[Source, Counts]) -> Mapping[Source, Counts]:
    return {source: Counts(each.requests, each.errors) for source, each in found.items() if each.requests}


class RealWorld:
    """Stand-ins behind a real router; a subclass says who leads requests to them.

    What a router has confirmed comes true `moment` seconds later: the API has no word for when.
    """

    kind: Kind
    moment = 1.0

    def __init__(self, cluster: Cluster, stand_ins: StandIns, front: Front | None) -> None:
        self.cluster, self.stand_ins, self.front = cluster, stand_ins, front
        self.counted = Counting(PodCounters(cluster))
        self._idle = stand_ins.replenish()
        self._servers: dict[str, int] = {}
        self._products: set[str] = set()
        self._bare = self._router()
        self.router: Any = Settling(Deployed(self._bare, self._deploy), self.moment)

    def _router(self) -> Router:
        raise NotImplementedError

    def server(self, version: int) -> str:
        address = self._idle.pop(0)
        self._servers[address] = version
        return address

    def dead(self) -> str:
        return f"192.0.2.1:{PORT}"

    def stop(self, address: str) -> None:
        del self._servers[address]
        self.stand_ins.stop(address)

    @contextlib.contextmanager
    def fail(self, version: int) -> Iterator[None]:
        self._tell(version, "fail", on=True)
        yield
        self._tell(version, "fail", on=False)

    def copies(self, version: int) -> int:
        found = (self.counted.copies(product) for product in self._products)
        return sum(each.requests for some in found for source, each in some.items() if source.version == version)

    def ask(
        self,
        product: str,
        count: int,
        keys: Sent = nothing,
        headers: Mapping[str, str] = NOTHING,
        cookies: Sent = nothing,
    ) -> list[int]:
        each = map(headers_sent(keys, headers, cookies), range(count))
        return self._ask(product, "invocations", list(each))

    def _ask(self, product: str, path: str, headers: list[dict[str, str]]) -> list[int]:
        raise NotImplementedError

    def unroute(self, product: str) -> None:
        self.cluster.delete(self.kind, f"seatrial-{product}")
        time.sleep(self.moment)

    @contextlib.contextmanager
    def held(self, product: str) -> Iterator[None]:
        with ThreadPoolExecutor(1) as pool:
            with self.stand_ins.holding():
                answer = pool.submit(self._ask, product, "held", [{}])
                eventually(lambda: self.stand_ins.waiting() == 1)
                yield
            assert answer.result(10)[0] > 0

    def close(self) -> None:
        for product in self._products:
            self._bare.remove(product)
        sweep_services(self.cluster)

    def _tell(self, version: int, what: str, **told: Any) -> None:
        for address, known in self._servers.items():
            if known == version and (name := self.stand_ins.name_of(address)):
                self.stand_ins.tell(name, what, **told)

    def _deploy(self, product: str, routing: Routing) -> None:
        with contextlib.suppress(RouterRefused):  # nobody deploys for a name that no product has
            for backend in accepted(product, routing).backends:
                self._products.add(product)
                self._start(product, backend.version, set(backend.addresses) & self._servers.keys())

    def _start(self, product: str, version: int, addresses: set[str]) -> None:
        labels, name = labels_of(product, version), object_name(product, version)
        ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in (PORT, COPIES_PORT, PAIRED_PORT)]
        self.cluster.apply(
            SERVICE, {"metadata": {"name": name, "labels": labels}, "spec": {"selector": labels, "ports": ports}}
        )
        for address in addresses - self.stand_ins.led_to(name):
            self.stand_ins.employ(product, version, address)
        wait_until(lambda: addresses <= self.stand_ins.led_to(name), 30)


class Settling:
    """A router whose changes have come true when it returns."""

    def __init__(self, router: Any, moment: float) -> None:
        self._router, self._moment = router, moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        self._router.apply(product, routing, token)
        time.sleep(self._moment)

    def remove(self, product: str, token: int | None = None) -> None:
        self._router.remove(product, token)
        time.sleep(self._moment)


class GatewayWorld(RealWorld):
    """Requests come to the Gateway."""

    kind = HTTP_ROUTE

    def _router(self) -> Router:
        assert self.front is not None
        return GatewayApiRouter(self.cluster, self.front.section, self.counted, SystemClock())

    def _ask(self, product: str, path: str, headers: list[dict[str, str]]) -> list[int]:
        assert self.front is not None
        where = urlsplit(self.front.url)
        return ask(where.port or 80, product, len(headers), headers.__getitem__, host=str(where.hostname), path=path)


class ServiceWorld(RealWorld):
    """Requests come from a pod of the cluster, each on a connection of its own."""

    kind = SERVICE
    moment = 2.0

    def _router(self) -> Router:
        return ServiceRouter(self.cluster, self.counted)

    def _ask(self, product: str, path: str, headers: list[dict[str, str]]) -> list[int]:
        service = self.cluster.get(SERVICE, f"seatrial-{product}")
        if service is None:
            return [-404] * len(headers)
        host = service["spec"]["clusterIP"]
        answers: list[int] = self.stand_ins.tell(
            self.stand_ins.caller, "ask", host=host, path=f"/{path}", headers=headers
        )
        return answers


@pytest.fixture(scope="module")
def stand_ins(cluster: Cluster) -> StandIns:
    return StandIns(cluster)


@pytest.fixture(scope="module")
def neighbour(cluster: Cluster, front: Front) -> Iterator[None]:
    """A route of somebody else's: there are Gateways that do not even listen without any."""
    parent = {"name": front.section.name, "namespace": front.section.namespace or cluster.namespace}
    rules = [{"matches": [{"path": {"value": "/neighbour/"}}], "backendRefs": [{"name": "neighbour", "port": 80}]}]
    cluster.apply(HTTP_ROUTE, {"metadata": {"name": "neighbour"}, "spec": {"parentRefs": [parent], "rules": rules}})
    yield
    cluster.delete(HTTP_ROUTE, "neighbour")


@pytest.fixture
def gateway_world(cluster: Cluster, stand_ins: StandIns, front: Front, neighbour: None) -> Iterator[GatewayWorld]:
    made = GatewayWorld(cluster, stand_ins, front)
    yield made
    made.close()


@pytest.fixture
def service_world(cluster: Cluster, stand_ins: StandIns) -> Iterator[ServiceWorld]:
    made = ServiceWorld(cluster, stand_ins, None)
    yield made
    made.close()


@pytest.fixture(params=["gateway_world", "service_world"])
def world(request: pytest.FixtureRequest) -> RealWorld:
    found: RealWorld = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def splitting(gateway_world: GatewayWorld) -> GatewayWorld:
    return gateway_world


@pytest.fixture
def product(cluster: Cluster) -> str:
    # The Gateway may be somebody's who runs the same tests in another namespace.
    return f"product-{next(_names)}-{cluster.namespace.rpartition('-')[2]}"


def test_what_becomes_of_copies_is_counted_apart_by_the_pods_that_get_them(
    splitting: GatewayWorld, product: str
) -> None:
    backends = (Backend(1, (splitting.server(1),)), Backend(53, (splitting.server(53),)))
    splitting.router.apply(product, Routing(backends, Weights.all_to(1), mirror=Mirror(53, 100)))
    assert splitting.router.copies(product) == {}
    splitting.ask(product, 20)
    eventually(lambda: list(splitting.router.copies(product).values()) == [Counts(20, 0)])
    with splitting.fail(53):
        splitting.ask(product, 5)
        eventually(lambda: list(splitting.router.copies(product).values()) == [Counts(25, 5)])
    assert list(splitting.router.tallies(product).values()) == [Counts(25, 0)]
    assert all(source.mirrored and source.version == 53 for source in splitting.router.copies(product))
