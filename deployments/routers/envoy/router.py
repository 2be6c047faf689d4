"""The router of the embedded platform."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.clock import Clock
from deployments.errors import Busy, RouterRefused, RouterUnreachable
from deployments.fencing import Fences
from deployments.routers.canonical_routing import accepted
from deployments.routers.envoy.admin import Admin
from deployments.routers.envoy.clusters import cluster_name, mirror_name, product_and_version, product_of
from deployments.routers.envoy.config_files import (
    EnvoyFiles,
    Json,
    reserve,
    sole_writer,
    sole_writer_of_routes,
    versioned,
    write_into_reserve,
)
from deployments.routers.envoy.config_rejections import Complaints
from deployments.routers.envoy.config_updates import (
    Patience,
    Publisher,
    listed_clusters,
    routes_document,
    written_servers,
    written_table,
    written_version,
)
from deployments.routers.envoy.live_routes import live_routing
from deployments.routers.envoy.record_recovery import NOBODY, Mending, Witness
from deployments.routers.envoy.route_config import with_routing
from deployments.routers.envoy.routing_records import Records
from deployments.routers.envoy.user_log_reader import UserLog
from deployments.routers.rollback_routing import Retreat, everything_to, has_everything, unknown
from deployments.traffic import Backend, Routing

T = TypeVar("T")

_POLL = timedelta(milliseconds=50)
# The table is replaced within milliseconds, and who replaces it waits for nothing meanwhile.
_RETREAT_WITHIN = timedelta(seconds=1)
_GLANCE_SECONDS = 0.5


class EnvoyRouter:
    """Changes the files of a gateway that was started with the command of `prepare(folder, run_folder, …)`.

    Several processes may use one gateway at once. `log_file` is where the keeper writes Envoy's standard error; with
    it a refusal carries Envoy's own reason. `witness` is asked and told when files are damaged.
    """

    # What Envoy answers itself is counted.
    shortfall: float | None = None

    def __init__(
        self,
        folder: Path,
        run_folder: Path,
        clock: Clock,
        log_file: Path | None = None,
        patience: Patience | None = None,
        witness: Witness = NOBODY,
    ) -> None:
        self._files = EnvoyFiles(folder.resolve(), run_folder.resolve())
        self._admin = Admin(self._files.admin_socket)
        self._records = Records(self._files.folder)
        self._fences = Fences(self._files.folder / "fences")
        self._clock = clock
        self._patience = patience or Patience()
        self._witness = witness
        self._publisher = Publisher(self._files, self._admin, clock, self._patience, Complaints(log_file))
        self._seen: tuple[Json, Mapping[str, Mapping[str, bool]]] | None = None

    @property
    def users(self) -> UserLog:
        """The log of requests with a key."""
        return UserLog(self._files.user_log, self._admin.reopen_logs)

    def read(self, product: str) -> Routing | None:
        """The routing as Envoy reports it: what the live routes say, and the addresses of the live clusters.

        None also for routes that no routing stands for, such as one that leads to no server (somebody edited them).
        """
        table, servers = self._seen or self._reported()
        backends = tuple(sorted(_backends(product, servers), key=lambda backend: backend.version))
        return live_routing(table, product, backends)

    @contextlib.contextmanager
    def one_look(self) -> Iterator[None]:
        """A block in which `read` answers by one look at its beginning, for every product: for who does but look.

        A gateway that does not answer is asked again each time.
        """
        with contextlib.suppress(RouterUnreachable):
            self._seen = self._reported()
        try:
            yield
        finally:
            self._seen = None

    def _reported(self) -> tuple[Json, Mapping[str, Mapping[str, bool]]]:
        servers = self._admin.servers()
        return self._admin.route_table(), servers

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """Make `routing` live without losing a request: new servers in, traffic over, former servers out.

        Waits for requests in flight on versions that go; after `patience.drain` these stay known until a later call.
        """
        wanted = accepted(product, routing)
        with self._writing(product, token) as records:
            reserve(self._files)
            self._publisher.validate(records | {product: wanted})
            with self._all_or_nothing(product, records, token):
                self._publisher.add_servers(records | {product: wanted})
                self._publisher.await_servers(product, records.get(product), wanted)
                self._publisher.move_traffic(records | {product: wanted}, lambda: self._table(product, wanted, token))
            self._publisher.drop_servers(product, wanted)
        self._drop_clusters(product)

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """See `Router.retreat`: Envoy watches the table of routes, and need not be asked anything for it to move.

        Other products' routes stay as they stand in the table, and no other change is waited for.
        """
        with sole_writer_of_routes(self._files, self._clock, _RETREAT_WITHIN):
            self._fences.admit(product, token)
            self._records.settle(self._written_version(), self._files)
            table, known = self._written_table(), self._known(product)
            wanted = accepted(product, everything_to(product, version, known))
            try:
                document = versioned([with_routing(table, product, wanted)])
                there = live_routing(table, product, known)
            except (KeyError, IndexError, TypeError) as error:
                raise RouterRefused(
                    f"{self._files.routes} is no table of routes: the next change of any route writes it anew"
                ) from error
            if has_everything(version, there):
                return
            if self._nobody_is_well(product, version):
                raise unknown(product, version)
            self._records.intend(product, wanted, document["version_info"], (self._files, note))
            write_into_reserve(self._files.routes, document, self._files)
            self._records.settle(document["version_info"], self._files)

    def retreated(self, product: str) -> Retreat | None:
        """See `Router.retreated`."""
        return self._records.retreat(product)

    def newest_token(self, product: str) -> int:
        """See `Router.newest_token`."""
        return self._fences.newest(product)

    def in_flight(self, product: str, version: int) -> int:
        """Requests, and mirrored copies, that are sent to this version or held back for it, and not answered."""
        return sum(
            self._admin.in_flight(cluster)
            for cluster in (cluster_name(product, version), mirror_name(product, version))
        )

    def remove(self, product: str, token: int | None = None) -> None:
        """Take the product's route away, then its servers once they have answered what they have."""
        with self._writing(product, token) as records, self._all_or_nothing(product, records, token):
            self._publisher.move_traffic({}, lambda: self._table(product, None, token))
        self._drop_clusters(product)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.tallies`. Requests count at once; their latencies, and those given up, half a second later."""
        epoch, counted = self._in_one_epoch(lambda: self._admin.counted(product))
        return {Source(version, epoch, keyed=keyed): counts for (version, keyed), counts in counted.items()}

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router.copies`."""
        epoch, copied = self._in_one_epoch(lambda: self._admin.copied(product))
        return {Source(version, epoch, mirrored=True): counts for version, counts in copied.items()}

    def _in_one_epoch(self, count: Callable[[], T]) -> tuple[str, T]:
        while True:
            epoch = self._admin.started_at()
            found = count()
            # A gateway that began again in between would have its counts taken for its predecessor's.
            if self._admin.started_at() == epoch:
                return epoch, found

    @contextlib.contextmanager
    def _writing(self, product: str = "", token: int | None = None) -> Iterator[dict[str, Routing]]:
        # Shown before the lock is had: whoever has it, and was stopped, is then refused when it goes on.
        self._fences.admit(product, token)
        with sole_writer(self._files, self._clock, self._patience.lock):
            self._fences.admit(product, token)
            self._admin.routes()
            with sole_writer_of_routes(self._files, self._clock, self._patience.lock):
                self._mend()
                records = self._records.all()
            yield records

    def _mend(self) -> None:
        """Damaged files of any product are rebuilt before one is changed: all of them make the table of routes."""
        table = written_table(self._files)
        self._records.settle(self._written_version() if table is not None else self._admin.routes().version)
        if table is None:
            table = self._admin.route_table() or None
        Mending(self._records, table, self._servers, self._witness).mend()

    def _servers(self) -> Mapping[str, Sequence[str]]:
        with contextlib.suppress(RouterUnreachable):
            return {cluster: tuple(addresses) for cluster, addresses in self._admin.servers().items()}
        return written_servers(self._files)

    @contextlib.contextmanager
    def _table(self, product: str, wanted: Routing | None, token: int | None) -> Iterator[Json]:
        """The table of routes with `wanted`, noted as intended; nobody else replaces the table meanwhile.

        Other products may have retreated while this one waited for its servers: their records are read again.
        """
        with sole_writer_of_routes(self._files, self._clock, self._patience.lock):
            self._fences.admit(product, token)
            with contextlib.suppress(RouterUnreachable):
                self._mend()
            records = self._records.all()
            others = {name: routing for name, routing in records.items() if name != product}
            document = routes_document(others | {product: wanted} if wanted else others)
            if wanted or product in records:
                self._records.intend(product, wanted, document["version_info"])
            yield document

    @contextlib.contextmanager
    def _all_or_nothing(self, product: str, records: Mapping[str, Routing], token: int | None) -> Iterator[None]:
        try:
            yield
        except BaseException:
            # Not by a former holder: its successor may have led the users elsewhere meanwhile.
            with contextlib.suppress(Busy):
                self._publisher.put_back(product, records, lambda: self._table(product, records.get(product), token))
            raise
        finally:
            with sole_writer_of_routes(self._files, self._clock, self._patience.lock):
                self._records.settle(self._written_version())

    def _drop_clusters(self, product: str) -> None:
        deadline = self._clock.monotonic() + self._patience.drain.total_seconds()
        while True:
            with self._writing() as records:
                busy = self._publisher.drop_clusters(records)
            if not any(product_of(cluster) == product for cluster in busy) or self._clock.monotonic() >= deadline:
                return
            self._clock.sleep(_POLL)

    def _written_version(self) -> str:
        return written_version(self._files.routes)

    def _written_table(self) -> Json:
        return written_table(self._files) or {}

    def _known(self, product: str) -> tuple[Backend, ...]:
        """The servers by the product's record, or by the files of its clusters where that cannot be read."""
        with contextlib.suppress(RouterRefused):
            record = self._records.one(product)
            if record is not None:
                return record.backends
        written = {cluster: self._publisher.written(cluster) for cluster in listed_clusters(self._files)}
        return tuple(_backends(product, {cluster: dict.fromkeys(found, True) for cluster, found in written.items()}))

    def _nobody_is_well(self, product: str, version: int) -> bool:
        """Whether Envoy says so; if it does not answer at once, it is not waited for."""
        try:
            servers = replace(self._admin, within=_GLANCE_SECONDS).servers()
        except RouterUnreachable:
            return False
        return not any(servers.get(cluster_name(product, version), {}).values())


def _backends(product: str, servers: Mapping[str, Mapping[str, bool]]) -> Iterator[Backend]:
    for cluster, addresses in servers.items():
        owner = product_and_version(cluster)
        if owner is not None and owner[0] == product and addresses:
            yield Backend(owner[1], tuple(addresses))
