"""The first files of the gateway, and the command that runs it."""

import os
from datetime import timedelta
from pathlib import Path

from deployments.clock import SystemClock
from deployments.errors import BadInput
from deployments.routers.envoy.cluster_health import servers_of
from deployments.routers.envoy.clusters import endpoints
from deployments.routers.envoy.config_files import EnvoyFiles, reserve, sole_writer, versioned, write_document
from deployments.routers.envoy.config_updates import (
    clusters_document,
    listed_clusters,
    routes_document,
    written_servers,
    written_table,
    written_version,
)
from deployments.routers.envoy.config_validation import envoy_binary, validate
from deployments.routers.envoy.listener import bootstrap
from deployments.routers.envoy.record_recovery import NOBODY, Mending, Witness
from deployments.routers.envoy.routing_records import Records
from deployments.routers.envoy.user_log_reader import make_user_log

_WORKERS = 2
_DRAIN_SECONDS = 5
# Lines for users are written at this pace; the default of 10 s is too late for a judge.
_FLUSH_MILLISECONDS = 500
_LOCK = timedelta(seconds=120)
_LONGEST_SOCKET_PATH = 107


def prepare(
    folder: Path,
    run_folder: Path,
    host: str,
    port: int,
    witness: Witness = NOBODY,
    public: tuple[str, int] | None = None,
) -> tuple[str, ...]:
    """The command line of a gateway on `host:port` (an IP address) that keeps its files in `folder`.

    `public` is where it listens to others, None for nowhere; their certificate, keys and rates are written already.

    Run it before each start: the products' routes stay, a changed address is taken over, and missing or damaged files
    are written again, each product by itself; see `Witness` for who is asked and told. Raises `BadInput` for a run
    folder whose path is too long for a socket, `RouterRefused` for an address that Envoy does not take. Whether the
    port is free shows only at the start: Envoy then ends with an error.
    """
    files = EnvoyFiles(folder.resolve(), run_folder.resolve())
    if len(os.fsencode(files.admin_socket)) > _LONGEST_SOCKET_PATH:
        raise BadInput(
            f"{files.admin_socket} has more than {_LONGEST_SOCKET_PATH} bytes, too many for a socket: "
            "use a shorter folder"
        )
    with sole_writer(files, SystemClock(), _LOCK):
        _write_products(files, witness)
        make_user_log(files.user_log)
        reserve(files)
        start = bootstrap(files, host, port, public)
        validate(start, files.candidate)
        write_document(files.bootstrap, start)
    return _command(files)


def _write_products(files: EnvoyFiles, witness: Witness) -> None:
    """Endpoints before clusters before routes, for a gateway that may be running already."""
    records = Records(files.folder)
    records.settle(written_version(files.routes))
    Mending(records, written_table(files), lambda: written_servers(files), witness).mend()
    products = records.all()
    servers = servers_of(products)
    for cluster, addresses in servers.items():
        write_document(files.endpoints(cluster), versioned([endpoints(cluster, addresses)]))
    write_document(files.clusters, clusters_document(files, listed_clusters(files) | servers.keys()))
    write_document(files.routes, routes_document(products))


def _command(files: EnvoyFiles) -> tuple[str, ...]:
    return (
        str(envoy_binary()),
        *("-c", str(files.bootstrap)),
        "--disable-hot-restart",
        "--reject-unknown-dynamic-fields",
        *("--concurrency", str(_WORKERS)),
        *("--drain-time-s", str(_DRAIN_SECONDS)),
        *("--file-flush-interval-msec", str(_FLUSH_MILLISECONDS)),
        *("-l", "warning"),
    )
