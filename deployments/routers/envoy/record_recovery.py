"""Records that are damaged, gone, or say something else than what users get: rebuilt one by one, nobody else touched.

The table of routes says how traffic flows and the files of the clusters (or Envoy itself) where the servers are. Only
of a product of which these say nothing others are asked: the journal, and whoever keeps the servers.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from deployments.errors import RouterRefused
from deployments.routers.canonical_routing import accepted
from deployments.routers.envoy.clusters import cluster_name, product_and_version
from deployments.routers.envoy.config_files import Json, quarantine
from deployments.routers.envoy.live_routes import live_routing
from deployments.routers.envoy.routing_records import Records
from deployments.traffic import DEFAULT_KEY, Backend, Routing, StickyKey

# By cluster, where its servers are.
Servers = Mapping[str, Sequence[str]]


def _nobody_knows() -> Mapping[str, Routing]:
    return {}


def _nobody_listens(_product: str, _what: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Witness:
    """Who is asked, and who is told, when a file is damaged.

    `otherwise` says by product how traffic should flow, as anybody else than the gateway knows; it is asked only where
    need be. `tell` is given the product, and what was done about its file. Without them nobody is asked or told.
    """

    otherwise: Callable[[], Mapping[str, Routing]] = _nobody_knows
    tell: Callable[[str, str], None] = _nobody_listens


NOBODY: Final = Witness()


@dataclass(frozen=True)
class Mending:
    """What is known of the products beside their records: `table` is None where no table of routes can be read."""

    records: Records
    table: Json | None
    servers: Callable[[], Servers]
    witness: Witness = NOBODY

    def mend(self) -> None:
        """Every product that is routed has a record that says how; to be used by the sole writer only."""
        kept = self.records.readable()
        for path in self.records.damaged():
            self._rebuild(path.name.removesuffix(".json"), f"{path} was damaged and is kept as {quarantine(path)}")
        for product in sorted(self._expected() - kept.keys() - self.records.readable().keys()):
            self._rebuild(product, f"its record among {self.records.folder / 'products'} was gone")
        for product, record in kept.items():
            live = self._live(product, record.backends) or self._live(product, tuple(self._named_servers(product)))
            if live is not None and not _flows_alike(live, record):
                self._keep(product, live, "its record said something else than the table of routes, by which it is led")

    def _expected(self) -> set[str]:
        return set(self._others) if self.table is None else set(_routed(self.table))

    @cached_property
    def _others(self) -> Mapping[str, Routing]:
        return self.witness.otherwise()

    def _rebuild(self, product: str, damage: str) -> None:
        live = self._live(product, tuple(self._named_servers(product)))
        if live is not None:
            self._keep(product, live, f"{damage}; rebuilt from the live routes")
            return
        other = self._others.get(product)
        if other is None:
            self.witness.tell(product, f"{damage}; nothing is known of its routes: release it, or roll it back, anew")
        else:
            self._keep(product, other, f"{damage}; rebuilt from the journal and the servers that run")

    def _keep(self, product: str, routing: Routing, why: str) -> None:
        try:
            self.records.keep(product, accepted(product, routing))
        except RouterRefused as error:
            self.witness.tell(product, f"{why}, in vain: {error}")
        else:
            self.witness.tell(product, why)

    def _live(self, product: str, backends: tuple[Backend, ...]) -> Routing | None:
        """As the table leads users; None if it has no such product, or leads them to nobody that is known."""
        with contextlib.suppress(KeyError, IndexError, TypeError, ValueError, AttributeError):
            live = live_routing(self.table or {}, product, backends)
            if live is not None and set(live.versions) <= {backend.version for backend in backends}:
                return live
        return None

    def _named_servers(self, product: str) -> Iterator[Backend]:
        """The servers of the versions that the table leads to; others are on their way out."""
        servers = self.servers()
        for version in sorted(set(_versions(self.table or {}, product))):
            if addresses := tuple(servers.get(cluster_name(product, version), ())):
                yield Backend(version, addresses)


def _flows_alike(live: Routing, record: Routing) -> bool:
    return (_split(live), set(live.matches), live.mirror) == (_split(record), set(record.matches), record.mirror)


def _split(routing: Routing) -> tuple[object, ...]:
    shares = {version: percent for version, percent in routing.weights.percents.items() if percent}
    key = routing.key or StickyKey(header=DEFAULT_KEY)
    return shares, key if len(shares) > 1 else None


def _routed(table: Json) -> Iterator[str]:
    """Names of the products that have a route."""
    for route in _routes(table):
        name = str(route.get("name", "")).partition(".")[0]
        if name and name != "seatrial":
            yield name


def _versions(table: Json, product: str) -> Iterator[int]:
    for route in _routes(table):
        if str(route.get("name", "")).partition(".")[0] == product:
            action = route.get("route", {})
            shares = action.get("weighted_clusters", {}).get("clusters", ())
            for cluster in (action.get("cluster", ""), *(each.get("name", "") for each in shares)):
                owner = product_and_version(cluster)
                if owner is not None and owner[0] == product:
                    yield owner[1]


def _routes(table: Json) -> Iterator[Json]:
    """Whatever else stands in the table: somebody may have written anything into it."""
    with contextlib.suppress(TypeError, AttributeError):
        for host in table.get("virtual_hosts", ()):
            for route in host.get("routes", ()):
                if isinstance(route, dict):
                    yield route
