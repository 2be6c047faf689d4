"""Which servers must be well before traffic moves to them."""

from collections.abc import Iterator, Mapping

from deployments.routers.envoy.clusters import cluster_name
from deployments.traffic import Routing


def servers_missing(
    product: str, former: Routing | None, wanted: Routing, servers: Mapping[str, Mapping[str, bool]]
) -> tuple[str, ...]:
    """Addresses that keep `wanted` from going live, each with its version; empty when nothing does.

    `servers` is what the gateway reports: by cluster, each address and whether it is well. A server that is new must
    be well; a version whose share grows needs one that is. Nothing is asked of a version that traffic leaves, so that
    a dead canary never stands in the way of its own rollback.
    """
    found: dict[str, None] = {}
    for backend in wanted.backends:
        reported = servers.get(cluster_name(product, backend.version), {})
        well = {address for address in backend.addresses if reported.get(address)}
        needed = set(backend.addresses) - _known(former, backend.version)
        if _grows(former, wanted, backend.version) and not well:
            needed = set(backend.addresses)
        found |= dict.fromkeys(
            f"v{backend.version} at {address}" for address in backend.addresses if address in needed - well
        )
    return tuple(found)


def servers_of(products: Mapping[str, Routing]) -> dict[str, tuple[str, ...]]:
    """The addresses by cluster that these routings call for."""
    return dict(_servers_of(products))


def _servers_of(products: Mapping[str, Routing]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for product, routing in products.items():
        for backend in routing.backends:
            yield cluster_name(product, backend.version), backend.addresses


def _known(former: Routing | None, version: int) -> set[str]:
    backend = former.backend(version) if former else None
    return set(backend.addresses) if backend else set()


def _grows(former: Routing | None, wanted: Routing, version: int) -> bool:
    return wanted.weights.of(version) > (former.weights.of(version) if former else 0)
