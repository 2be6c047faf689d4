"""How the gateway treats the servers of one version: one Envoy cluster for each product and version.

The numbers and their reasons: a dead server is left after at most a second, connections are closed before the server
closes them, and retries stay inside the version, so that a canary's failures stay its own.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from deployments.routers.canonical_routing import host_and_port, is_socket_path
from deployments.routers.envoy.config_files import Json

TYPE = "type.googleapis.com/"
READY_PATH = "/v2/health/ready"
CONTROL = "control"

# Prometheus labels a cluster by what stands before the first dot, so there is none; no product has an underscore.
_CLUSTER = re.compile(r"(?P<product>[a-z][a-z0-9-]*)_v(?P<version>\d+)")
_MIRROR = "_mirror"
_MANY = 1024
# A slow shadow answers this many copies, as many again wait; all further ones are dropped, and no user notices.
_MOST_MIRRORED = 32


def cluster_name(product: str, version: int) -> str:
    """Name of the cluster of one version, such as `flights_v3`."""
    return f"{product}_v{version}"


def product_and_version(cluster: str) -> tuple[str, int] | None:
    """The reverse of `cluster_name`; None for a name that it does not make."""
    found = _CLUSTER.fullmatch(cluster)
    return (found["product"], int(found["version"])) if found else None


def mirror_name(product: str, version: int) -> str:
    """Name of the cluster that gets copies for one version, such as `flights_v3_mirror`: the same servers, capped."""
    return f"{cluster_name(product, version)}{_MIRROR}"


def product_of(cluster: str) -> str | None:
    """The product whose requests or copies a cluster gets; None for a cluster of no product."""
    owner = product_and_version(cluster.removesuffix(_MIRROR))
    return owner[0] if owner else None


def control_cluster(socket: Path) -> Json:
    """The control service of this machine, behind a Unix socket; what is asked of it while it is down gets 503."""
    return {
        "name": CONTROL,
        "connect_timeout": "0.5s",
        "type": "STATIC",
        "load_assignment": load_assignment(CONTROL, (str(socket),)),
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol()},
    }


def watched_cluster(name: str, endpoints_file: Path) -> Json:
    """A cluster whose addresses Envoy reads from `endpoints_file`, again whenever it is replaced."""
    source = {"path_config_source": {"path": str(endpoints_file)}, "resource_api_version": "V3"}
    return {**_treatment(name), "type": "EDS", "eds_cluster_config": {"eds_config": source}}


def fixed_cluster(name: str, addresses: Iterable[str]) -> Json:
    """The same cluster with its addresses inline: what `--mode validate` can see."""
    return {**_treatment(name), "type": "STATIC", "load_assignment": load_assignment(name, addresses)}


def endpoints(name: str, addresses: Iterable[str]) -> Json:
    """The addresses of one cluster as Envoy's endpoint discovery reads them."""
    return {"@type": f"{TYPE}envoy.config.endpoint.v3.ClusterLoadAssignment", **load_assignment(name, addresses)}


def address_of(endpoint: Json) -> str:
    """The address in Envoy's own form, as a socket path or `host:port`."""
    if "pipe" in endpoint:
        return str(endpoint["pipe"]["path"])
    host, port = endpoint["socket_address"]["address"], endpoint["socket_address"]["port_value"]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def addresses_in(endpoints_resource: Json) -> tuple[str, ...]:
    """The reverse of `endpoints`."""
    localities: Sequence[Json] = endpoints_resource.get("endpoints", ())
    return tuple(
        address_of(each["endpoint"]["address"]) for locality in localities for each in locality.get("lb_endpoints", ())
    )


def load_assignment(name: str, addresses: Iterable[str]) -> Json:
    """The servers of one cluster, inline."""
    members = [{"endpoint": {"address": _endpoint(address)}} for address in addresses]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": members}]}


def _endpoint(address: str) -> Json:
    if is_socket_path(address):
        return {"pipe": {"path": address}}
    host, port = host_and_port(address)
    return {"socket_address": {"address": host, "port_value": port}}


def _treatment(name: str) -> Json:
    most = _MOST_MIRRORED if name.endswith(_MIRROR) else _MANY
    return {
        "@type": f"{TYPE}envoy.config.cluster.v3.Cluster",
        "name": name,
        "connect_timeout": "0.5s",
        # A server taken off the list gets nothing more at once; a sick one gets nothing even if it is the only one.
        "ignore_health_on_host_removal": True,
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        # The default of 3 concurrent retries makes them fail exactly when they are needed.
        "circuit_breakers": {
            "thresholds": [
                {"max_connections": most, "max_pending_requests": most, "max_requests": most, "max_retries": most}
            ]
        },
        "health_checks": [_health_check()],
        "outlier_detection": _outlier_detection(),
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol()},
    }


def _health_check() -> Json:
    return {
        # Only a dead server refuses at once; one that is merely busy must not be taken for dead.
        "timeout": "5s",
        "interval": "1s",
        "unhealthy_interval": "0.2s",
        # Without these a version that has no traffic yet is looked at once a minute.
        "no_traffic_interval": "0.2s",
        "no_traffic_healthy_interval": "1s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "http_health_check": {"path": READY_PATH},
    }


def _outlier_detection() -> Json:
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 2,
        # A model's own 500s are the rollout's evidence; only dead connections put a server aside.
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "2s",
        "max_ejection_percent": 50,
    }


def protocol() -> Json:
    """How Envoy speaks to servers: HTTP/1.1 on connections that it closes before they do."""
    return {
        "@type": f"{TYPE}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        # Below the server's keep-alive (5 s), or the two race and requests are lost.
        "common_http_protocol_options": {"idle_timeout": "3s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }
