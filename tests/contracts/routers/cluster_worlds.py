"""What the routers of a cluster are tried on: a fake API server, pods that the test starts, and who sends requests."""

import contextlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.clock import ManualClock
from deployments.cluster import Cluster, labels_of, object_name
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT
from deployments.errors import RouterRefused
from deployments.routers.canonical_routing import accepted
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.kubernetes_service import ServiceRouter
from deployments.routers.protocol import Router
from deployments.spec import GatewaySection
from deployments.traffic import Routing
from tests.contracts.routers.gateway import NOTHING, Sent, headers_sent, nothing
from tests.fakes.gateway import FakeGateway
from tests.fakes.kubernetes import FakeKubernetes

GATEWAY = {
    "kind": "Gateway",
    "metadata": {"name": "public"},
    "spec": {"gatewayClassName": "fake", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
}


class Counted:
    """What pods counted (see `Counters`), as the worlds tell it."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], Counts] = {}
        self.mirrored: dict[tuple[str, int], Counts] = {}
        self.waiting: Counter[tuple[str, int]] = Counter()

    def in_flight(self, product: str, version: int) -> int:
        return self.waiting[product, version]

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        return {Source(version, "pod"): each for (owner, version), each in self.answers.items() if owner == product}

    def copies(self, product: str) -> Mapping[Source, Counts]:
        return {
            Source(version, "pod", mirrored=True): each
            for (owner, version), each in self.mirrored.items()
            if owner == product
        }


class Deployed:
    """A router that finds the servers of a routing there, as the target sees to it before."""

    def __init__(self, router: Router, deploy: Callable[[str, Routing], None]) -> None:
        self._router, self._deploy = router, deploy

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        self._deploy(product, routing)
        self._router.apply(product, routing, token)


class PodWorld:
    """Pods of a fake cluster by their addresses; a subclass says who leads requests to them."""

    kind = ""

    def __init__(self, api: FakeKubernetes, folder: Path) -> None:
        self.api = api
        self.cluster = Cluster.of(kubeconfig=api.kubeconfig(folder / "kubeconfig"))
        self.clock = ManualClock()
        self.counted = Counted()
        self.random = random.Random(7)
        self.servers: dict[str, int] = {}
        self.failing: set[int] = set()
        self.router: Any = Deployed(self._router(), self._deploy)

    def _router(self) -> Router:
        raise NotImplementedError

    def server(self, version: int) -> str:
        address = f"10.1.1.{100 + len(self.servers)}:{PORT}"
        self.servers[address] = version
        return address

    def dead(self) -> str:
        return f"10.1.2.1:{PORT}"

    def stop(self, address: str) -> None:
        del self.servers[address]
        for pod in self.api.objects("Pod"):
            if f"{pod['status']['podIP']}:{PORT}" == address:
                self.api.remove("Pod", pod["metadata"]["name"])

    @contextlib.contextmanager
    def fail(self, version: int) -> Iterator[None]:
        self.failing.add(version)
        yield
        self.failing.remove(version)

    def copies(self, version: int) -> int:
        return sum(each.requests for (_, known), each in self.counted.mirrored.items() if known == version)

    def ask(
        self,
        product: str,
        count: int,
        keys: Sent = nothing,
        headers: Mapping[str, str] = NOTHING,
        cookies: Sent = nothing,
    ) -> list[int]:
        each = map(headers_sent(keys, headers, cookies), range(count))
        return [self._ask(product, {name.lower(): value for name, value in sent.items()}) for sent in each]

    def _ask(self, product: str, headers: Mapping[str, str]) -> int:
        raise NotImplementedError

    def unroute(self, product: str) -> None:
        self.api.remove(self.kind, f"seatrial-{product}")

    @contextlib.contextmanager
    def held(self, product: str) -> Iterator[None]:
        [version] = self.ask(product, 1)
        self.counted.waiting[product, version] += 1
        yield
        self.counted.waiting[product, version] -= 1

    def _answered(self, product: str, version: int) -> int:
        known = self.counted.answers.get((product, version), Counts())
        self.counted.answers[product, version] = known + Counts(1, version in self.failing)
        return -500 if version in self.failing else version

    def _ready_pods(self, service: str) -> list[str]:
        """Names of the pods that a Service leads to."""
        return [
            endpoint["targetRef"]["name"]
            for each in self.api.objects("EndpointSlice")
            if each["metadata"]["labels"]["kubernetes.io/service-name"] == service
            for endpoint in each["endpoints"]
            if endpoint["conditions"]["ready"]
        ]

    def _deploy(self, product: str, routing: Routing) -> None:
        with contextlib.suppress(RouterRefused):  # nobody deploys for a name that no product has
            for backend in accepted(product, routing).backends:
                self._start(product, backend.version, backend.addresses)

    def _start(self, product: str, version: int, addresses: tuple[str, ...]) -> None:
        labels, name = labels_of(product, version), object_name(product, version)
        ports = [{"name": f"p{port}", "port": port, "targetPort": port} for port in (PORT, COPIES_PORT, PAIRED_PORT)]
        known = {"metadata": {"name": name, "labels": labels}, "spec": {"selector": labels, "ports": ports}}
        self.api.put({"kind": "Service", **known})
        there = {f"{each['status']['podIP']}:{PORT}" for each in self.api.objects("Pod")}
        for address in addresses:
            if address in self.servers and address not in there:
                place = address.rpartition(":")[0]
                metadata = {"name": f"{name}-{place.replace('.', '-')}", "labels": labels}
                containers = [{"name": "server", "image": "seatrial:1"}]
                pod = {"metadata": metadata, "spec": {"containers": containers}, "status": {"podIP": place}}
                self.api.put({"kind": "Pod", **pod})


class GatewayApiWorld(PodWorld):
    """Requests go by the HTTPRoutes, through a gateway in plain Python."""

    kind = "HTTPRoute"

    def __init__(self, api: FakeKubernetes, folder: Path) -> None:
        self.gateway = FakeGateway(api)
        api.put(GATEWAY)
        super().__init__(api, folder)

    def _router(self) -> Router:
        return GatewayApiRouter(self.cluster, GatewaySection(name="public"), self.counted, self.clock)

    def _ask(self, product: str, headers: Mapping[str, str]) -> int:
        hop = self.gateway.send(f"/{product}/invocations", headers)
        if hop is None:
            return -404
        assert hop.path == "/invocations"
        for service, port in hop.copies:
            assert (port, hop.port) == (COPIES_PORT, PAIRED_PORT)
            self._copied(product, service)
        if not self._ready_pods(hop.service):
            return -503
        version = _version(product, hop.service)
        return version if "x-seatrial-version" in headers else self._answered(product, version)

    def _copied(self, product: str, service: str) -> None:
        version = _version(product, service)
        wrong = version in self.failing or not self._ready_pods(service)
        known = self.counted.mirrored.get((product, version), Counts())
        self.counted.mirrored[product, version] = known + Counts(1, wrong)


class ServiceWorld(PodWorld):
    """Requests go to any of the pods that a product's Service selects, each on a connection of its own."""

    kind = "Service"

    def _router(self) -> Router:
        return ServiceRouter(self.cluster, self.counted)

    def _ask(self, product: str, headers: Mapping[str, str]) -> int:
        if self.api.object("Service", f"seatrial-{product}") is None:
            return -404
        pods = self._ready_pods(f"seatrial-{product}")
        if not pods:
            return -503
        found = re.fullmatch(rf"model-{product}-v(\d+)-[0-9-]+", self.random.choice(pods))
        assert found
        return self._answered(product, int(found[1]))


def _version(product: str, service: str) -> int:
    found = re.fullmatch(rf"model-{product}-v(\d+)", service)
    assert found, f"{service} is no Service of {product}"
    return int(found[1])
