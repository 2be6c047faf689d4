"""The steps by which the watched files change; each returns once Envoy confirmed it.

Nothing is taken away before what replaces it is in use: addresses and clusters are added, traffic moves, and only then
do the former ones go.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from deployments.clock import Clock
from deployments.errors import RouterRefused, RouterUnreachable, SeatrialError
from deployments.routers.envoy.admin import Admin, Subscription
from deployments.routers.envoy.cluster_health import is_well, servers_of
from deployments.routers.envoy.clusters import READY_PATH, addresses_in, endpoints, fixed_cluster, watched_cluster
from deployments.routers.envoy.config_files import EnvoyFiles, Json, as_bytes, read_document, versioned, write_document
from deployments.routers.envoy.config_rejections import Complaints
from deployments.routers.envoy.config_validation import validate
from deployments.routers.envoy.listener import candidate
from deployments.routers.envoy.route_config import route_table
from deployments.routers.required_servers import servers_missing
from deployments.traffic import Routing

# Gives the table of routes, and keeps others from replacing it until it is left.
Table = Callable[[], AbstractContextManager[Json]]
_SOON = timedelta(milliseconds=2)
_SETTLED = timedelta(milliseconds=20)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for the files' lock, for Envoy to confirm a file, for new servers, for requests in flight."""

    lock: timedelta = timedelta(seconds=120)
    confirm: timedelta = timedelta(seconds=5)
    ready: timedelta = timedelta(seconds=10)
    drain: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes the watched files of one gateway; to be used by the sole writer only."""

    files: EnvoyFiles
    admin: Admin
    clock: Clock
    patience: Patience
    complaints: Complaints

    def validate(self, products: Mapping[str, Routing]) -> None:
        """Raises `RouterRefused` if Envoy would not take these routings.

        Skipped where no server is new: Envoy takes a table of routes whole, or says why not and keeps the former one.
        The way back from harm must not wait for a second Envoy on a machine that is short of breath.
        """
        if servers_of(products).keys() <= listed_clusters(self.files) and self._holds_servers(products):
            return
        clusters = [fixed_cluster(name, addresses) for name, addresses in servers_of(products).items()]
        validate(candidate(self.files, clusters, route_table(products)), self.files.candidate)

    def add_servers(self, products: Mapping[str, Routing]) -> None:
        """Tell Envoy every server that is wanted, beside those that it knows."""
        listed = listed_clusters(self.files)
        wanted = servers_of(products)
        for cluster, addresses in wanted.items():
            former = [address for address in self.written(cluster) if address not in addresses]
            self._write_endpoints(cluster, (*addresses, *former))
        document = clusters_document(self.files, listed | wanted.keys())
        self._push(self.files.clusters, nullcontext(document), self.admin.clusters)

    def await_servers(self, product: str, former: Routing | None, wanted: Routing) -> None:
        """Wait until the servers that get traffic are well. Raises `RouterRefused` that names those that are not."""

        def missing() -> tuple[str, ...]:
            return servers_missing(former, wanted, partial(is_well, product, wanted, self.admin.servers()))

        if not self._within(self.patience.ready, lambda: not missing()):
            raise RouterRefused(
                f"{product}: no 200 to GET {READY_PATH} within {self.patience.ready.total_seconds():g} s "
                f"from {', '.join(missing())}: see why these servers are not ready, then apply again; "
                "the former routing is still live"
            )

    def move_traffic(self, products: Mapping[str, Routing], table: Table | None = None) -> None:
        """Make the weights live; `table` gives them as they are at that moment, None: as in `products`."""
        content = nullcontext(routes_document(products)) if table is None else table()
        self._push(self.files.routes, content, self.admin.routes)

    def put_back(self, product: str, products: Mapping[str, Routing], table: Table | None = None) -> None:
        """The files say the former routing again, even if Envoy is gone; what it can still confirm, it does."""
        with nullcontext(routes_document(products)) if table is None else table() as document:
            if not _holds(self.files.routes, document):
                write_document(self.files.routes, document)
        with contextlib.suppress(SeatrialError):
            self.move_traffic(products, table)
            if product in products:
                self.drop_servers(product, products[product])
            self.drop_clusters(products)

    def drop_servers(self, product: str, routing: Routing) -> None:
        """Leave only the wanted addresses in the clusters of one product; returns once the others get nothing more."""
        wanted = servers_of({product: routing})
        for cluster, addresses in wanted.items():
            self._write_endpoints(cluster, addresses)

        def settled() -> bool:
            servers = self.admin.servers()
            return all(set(servers.get(cluster, ())) == set(addresses) for cluster, addresses in wanted.items())

        if not self._within(self.patience.confirm, settled):
            raise RouterUnreachable(
                f"the gateway still has other servers of {product} than {self.files.folder}/eds says: apply again"
            )

    def drop_clusters(self, products: Mapping[str, Routing]) -> frozenset[str]:
        """Forget the clusters that nothing names and that answer nothing any more; returns those that still do."""
        listed = listed_clusters(self.files)
        unnamed = listed - servers_of(products).keys()
        quiet = self._quiet(self._quiet(unnamed))
        if quiet:
            document = clusters_document(self.files, listed - quiet)
            self._push(self.files.clusters, nullcontext(document), self.admin.clusters)
        for cluster in quiet:
            self.files.endpoints(cluster).unlink(missing_ok=True)
        return unnamed - quiet

    def _quiet(self, clusters: frozenset[str]) -> frozenset[str]:
        if not clusters:
            return clusters
        # A worker may have chosen the former route a moment before it got the new one.
        self.clock.sleep(_SETTLED)
        return frozenset(cluster for cluster in clusters if self.admin.in_flight(cluster) == 0)

    def written(self, cluster: str) -> tuple[str, ...]:
        """The addresses in the file of a cluster; empty without one."""
        return written_addresses(self.files, cluster) or ()

    def _write_endpoints(self, cluster: str, addresses: Iterable[str]) -> None:
        document = versioned([endpoints(cluster, addresses)])
        if not _holds(self.files.endpoints(cluster), document):
            write_document(self.files.endpoints(cluster), document)

    def _holds_servers(self, products: Mapping[str, Routing]) -> bool:
        wanted = servers_of(products).items()
        return all(
            _holds(self.files.endpoints(cluster), versioned([endpoints(cluster, addresses)]))
            for cluster, addresses in wanted
        )

    def _push(self, path: Path, content: AbstractContextManager[Json], state: Callable[[], Subscription]) -> None:
        before, said = state(), self.complaints.position()
        with content as document:
            if before.version == document["version_info"] and _holds(path, document):
                return
            write_document(path, document)

        def answered() -> bool:
            now = state()
            if now.refused > before.refused:
                raise RouterRefused(
                    f"the gateway refuses {path.name}: {self.complaints.since(said)}; the former routing is still live"
                )
            # Another product's retreat may have replaced the table in between: what it wrote holds ours.
            return now.version == written_version(path) and now.taken != before.taken

        if not self._within(self.patience.confirm, answered):
            seconds = self.patience.confirm.total_seconds()
            raise RouterUnreachable(
                f"the gateway did not take {path} within {seconds:g} s: see that it was started with this folder"
            )

    def _within(self, timeout: timedelta, done: Callable[[], bool]) -> bool:
        deadline = self.clock.monotonic() + timeout.total_seconds()
        while not done():
            if self.clock.monotonic() >= deadline:
                return False
            self.clock.sleep(_SOON)
        return True


def written_version(path: Path) -> str:
    """The version of a watched file as it is now; empty without one."""
    return str((read_document(path) or {}).get("version_info", ""))


def routes_document(products: Mapping[str, Routing]) -> Json:
    """The route table's file."""
    return versioned([route_table(products)])


def clusters_document(files: EnvoyFiles, names: Iterable[str]) -> Json:
    """The file that lists these clusters."""
    return versioned([watched_cluster(name, files.endpoints(name)) for name in sorted(names)])


def listed_clusters(files: EnvoyFiles) -> frozenset[str]:
    """The clusters in the file; without those whose addresses are missing, which Envoy could not start with."""
    with contextlib.suppress(KeyError, TypeError, AttributeError):
        resources = (read_document(files.clusters) or {}).get("resources", ())
        names = [str(each["name"]) for each in resources]
        return frozenset(name for name in names if written_addresses(files, name) is not None)
    return frozenset()


def written_addresses(files: EnvoyFiles, cluster: str) -> tuple[str, ...] | None:
    """The addresses in the file of a cluster; None where there is no such file, or a damaged one."""
    with contextlib.suppress(KeyError, IndexError, TypeError, ValueError, AttributeError):
        return addresses_in((read_document(files.endpoints(cluster)) or {})["resources"][0])
    return None


def written_servers(files: EnvoyFiles) -> dict[str, tuple[str, ...]]:
    """By cluster, the addresses in its file; without damaged ones."""
    found = {path.stem: written_addresses(files, path.stem) for path in files.folder.glob("eds/*.json")}
    return {cluster: addresses for cluster, addresses in found.items() if addresses}


def written_table(files: EnvoyFiles) -> Json | None:
    """The table of routes in the file; None where there is none, or a damaged one."""
    with contextlib.suppress(KeyError, IndexError, TypeError, AttributeError):
        table = (read_document(files.routes) or {})["resources"][0]
        return table if isinstance(table["virtual_hosts"][0]["routes"], list) else None
    return None


def _holds(path: Path, document: Mapping[str, object]) -> bool:
    try:
        return path.read_bytes() == as_bytes(document)
    except OSError:
        return False
