"""Which clusters a routing calls for, and which of their servers are well."""

from collections.abc import Iterator, Mapping

from deployments.routers.envoy.clusters import cluster_name, mirror_name
from deployments.traffic import Routing


def servers_of(products: Mapping[str, Routing]) -> dict[str, tuple[str, ...]]:
    """The addresses by cluster that these routings call for."""
    return {
        cluster: backend.addresses
        for product, routing in products.items()
        for backend in routing.backends
        for cluster in clusters_of(product, backend.version, routing)
    }


def clusters_of(product: str, version: int, routing: Routing) -> Iterator[str]:
    """The clusters of one version: its own, and a capped one while requests are mirrored to it."""
    yield cluster_name(product, version)
    if routing.mirror and routing.mirror.version == version:
        yield mirror_name(product, version)


def is_well(
    product: str, routing: Routing, servers: Mapping[str, Mapping[str, bool]], version: int, address: str
) -> bool:
    """Whether every cluster of `version` would send requests to `address`.

    `servers` is what the gateway reports: by cluster, each address and whether it is well.
    """
    return all(servers.get(cluster, {}).get(address, False) for cluster in clusters_of(product, version, routing))
