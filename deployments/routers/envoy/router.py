"""The router of the embedded platform."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from deployments.analysis.evidence import Counts
from deployments.analysis.readings import Source
from deployments.clock import Clock
from deployments.fence import Fences
from deployments.routers.accepted import accepted
from deployments.routers.envoy.admin import Admin
from deployments.routers.envoy.clusters import cluster_name, mirror_name, product_and_version, product_of
from deployments.routers.envoy.complaints import Complaints
from deployments.routers.envoy.files import EnvoyFiles, read_document, sole_writer
from deployments.routers.envoy.live import live_routing
from deployments.routers.envoy.publishing import Patience, Publisher, routes_document
from deployments.routers.envoy.records import Records
from deployments.routers.envoy.user_log import UserLog
from deployments.traffic import Backend, Routing

T = TypeVar("T")

_POLL = timedelta(milliseconds=50)


class EnvoyRouter:
    """Changes the files of a gateway that was started with the command of `prepare(folder, run_folder, …)`.

    Several processes may use one gateway at once. `log_file` is where the keeper writes Envoy's standard error; with
    it a refusal carries Envoy's own reason.
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
    ) -> None:
        self._files = EnvoyFiles(folder.resolve(), run_folder.resolve())
        self._admin = Admin(self._files.admin_socket)
        self._records = Records(self._files.folder)
        self._fences = Fences(self._files.folder / "fences")
        self._clock = clock
        self._patience = patience or Patience()
        self._publisher = Publisher(self._files, self._admin, clock, self._patience, Complaints(log_file))

    @property
    def users(self) -> UserLog:
        """The log of requests with a key."""
        return UserLog(self._files.user_log, self._admin.reopen_logs)

    def read(self, product: str) -> Routing | None:
        """The routing as Envoy reports it: what the live routes say, and the addresses of the live clusters.

        None also for routes that no routing stands for, such as one that leads to no server (somebody edited them).
        """
        backends = tuple(sorted(_backends(product, self._admin.servers()), key=lambda backend: backend.version))
        return live_routing(self._admin.route_table(), product, backends)

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """Make `routing` live without losing a request: new servers in, traffic over, former servers out.

        Waits for requests in flight on versions that go; after `patience.drain` these stay known until a later call.
        """
        wanted = accepted(product, routing)
        with self._writing(product, token) as records:
            self._publisher.validate(records | {product: wanted})
            with self._all_or_nothing(product, records):
                self._publisher.add_servers(records | {product: wanted})
                self._publisher.await_servers(product, records.get(product), wanted)
                self._move_traffic(product, wanted, records, token)
            self._publisher.drop_servers(product, wanted)
        self._drop_clusters(product)

    def in_flight(self, product: str, version: int) -> int:
        """Requests, and mirrored copies, that are sent to this version or held back for it, and not answered."""
        return sum(
            self._admin.in_flight(cluster)
            for cluster in (cluster_name(product, version), mirror_name(product, version))
        )

    def remove(self, product: str, token: int | None = None) -> None:
        """Take the product's route away, then its servers once they have answered what they have."""
        with self._writing(product, token) as records, self._all_or_nothing(product, records):
            self._move_traffic(product, None, records, token)
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
            self._records.settle(self._written_version())
            yield self._records.all()

    def _move_traffic(
        self, product: str, wanted: Routing | None, records: Mapping[str, Routing], token: int | None
    ) -> None:
        self._fences.admit(product, token)
        others = {name: routing for name, routing in records.items() if name != product}
        products = others | {product: wanted} if wanted else others
        if wanted or product in records:
            self._records.intend(product, wanted, routes_document(products)["version_info"])
        self._publisher.move_traffic(products)

    @contextlib.contextmanager
    def _all_or_nothing(self, product: str, records: Mapping[str, Routing]) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._publisher.put_back(product, records)
            raise
        finally:
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
        return str((read_document(self._files.routes) or {}).get("version_info", ""))


def _backends(product: str, servers: Mapping[str, Mapping[str, bool]]) -> Iterator[Backend]:
    for cluster, addresses in servers.items():
        owner = product_and_version(cluster)
        if owner is not None and owner[0] == product and addresses:
            yield Backend(owner[1], tuple(addresses))
