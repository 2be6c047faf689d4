"""What bounds the gateway: memory, connections in all, and connections of one client.

The bodies of requests have bounds of their own (`uploads`), by which all connections together need some 700 MB at most.
Should more be taken all the same, Envoy's overload manager, which looks at its heap ten times a second, resets the
HTTP/2 streams that hold most, then answers 503, and at last accepts nobody. Connections are counted as they come.
"""

from collections.abc import Sequence

from deployments.routers.envoy.clusters import TYPE
from deployments.routers.envoy.config_files import Json

MAX_CONNECTIONS = 5000
# Of all connections, what clients of one group may hold; a group is what one address hashes to.
MAX_OF_A_GROUP = 2000
HEAP_BYTES = 1024 * 1024 * 1024
_GROUPS = 16
# Streams that hold less than 2 to the power of this many bytes are not worth a reset.
_SMALLEST_POWER = 15
_MONITORS = f"{TYPE}envoy.extensions.resource_monitors"


def overload_manager() -> Json:
    """Monitors of heap and connections, and what is done as the heap fills: reset the largest, then close doors."""
    heap = f"{_MONITORS}.fixed_heap.v3.FixedHeapConfig"
    connections = f"{_MONITORS}.downstream_connections.v3.DownstreamConnectionsConfig"
    return {
        "refresh_interval": "0.1s",
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": _SMALLEST_POWER},
        "resource_monitors": [
            _monitor("fixed_heap", {"@type": heap, "max_heap_size_bytes": HEAP_BYTES}),
            _monitor(
                "global_downstream_max_connections",
                {"@type": connections, "max_active_downstream_connections": MAX_CONNECTIONS},
            ),
        ],
        "actions": [
            _action("reset_high_memory_stream", {"scaled": {"scaling_threshold": 0.6, "saturation_threshold": 0.9}}),
            _action("shrink_heap", {"threshold": {"value": 0.8}}),
            _action("disable_http_keepalive", {"threshold": {"value": 0.9}}),
            _action("stop_accepting_requests", {"threshold": {"value": 0.95}}),
            _action("stop_accepting_connections", {"threshold": {"value": 0.98}}),
        ],
    }


def chains(filters: Sequence[Json]) -> Json:
    """A listener's filter chains: the same `filters` for every group of clients, behind a count of its own."""
    return {
        "filter_chain_matcher": {
            "matcher_list": {"matchers": [_members(group) for group in reversed(range(_GROUPS))]},
        },
        "filter_chains": [{"name": _name(group), "filters": [_count(), *filters]} for group in range(_GROUPS)],
    }


def _monitor(name: str, settings: Json) -> Json:
    return {"name": f"envoy.resource_monitors.{name}", "typed_config": settings}


def _action(name: str, trigger: Json) -> Json:
    return {
        "name": f"envoy.overload_actions.{name}",
        "triggers": [{"name": "envoy.resource_monitors.fixed_heap", **trigger}],
    }


def _count() -> Json:
    limit = "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit"
    settings = {"@type": f"{TYPE}{limit}", "stat_prefix": "client", "max_connections": MAX_OF_A_GROUP}
    return {"name": "envoy.filters.network.connection_limit", "typed_config": settings}


def _members(group: int) -> Json:
    """Addresses whose hash is `group` or more: the list begins with the last one."""
    source = "envoy.extensions.matching.common_inputs.network.v3.SourceIPInput"
    hashing = "envoy.extensions.matching.input_matchers.consistent_hashing.v3.ConsistentHashing"
    return {
        "predicate": {
            "single_predicate": {
                "input": {"name": "address", "typed_config": {"@type": f"{TYPE}{source}"}},
                "custom_match": {
                    "name": "group",
                    "typed_config": {"@type": f"{TYPE}{hashing}", "threshold": group, "modulo": _GROUPS},
                },
            }
        },
        "on_match": {
            "action": {
                "name": "chain",
                "typed_config": {"@type": f"{TYPE}google.protobuf.StringValue", "value": _name(group)},
            }
        },
    }


def _name(group: int) -> str:
    return f"group-{group}"
