"""Large requests: few at a time, so that uploads which never end take memory from nobody.

A body is held until it is whole: a client that leaves in the middle has asked no model anything. Envoy has no bound on
what all bodies take together (for HTTP/1 its overload manager cannot tell who holds the most), so requests with more
than `SMALL_BYTES`, or of a length that is not said, go through a second listener of the same Envoy, on a socket. It
holds the bodies, and the ways to it let only `AT_ONCE` pass. Others get 503 and may come again; small requests never
meet any of this. The first listener holds `SMALL_BYTES` of a body, whatever a request says of itself.

There are several ways, and the address of a client says which is its own: who never ends his uploads keeps out those
who share it, and nobody else.
"""

from pathlib import Path
from typing import Final

from deployments.routers.envoy.clusters import TYPE, load_assignment
from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.headers import mark, sent_from

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
SMALL_BYTES: Final = 64 * 1024
WAYS: Final = 4
AT_ONCE: Final = 32
# On each way; what waits holds no more than `SMALL_BYTES` at either end of it.
WAITING: Final = 56
_CLUSTER: Final = "uploads"
# Set on the way to the second listener, where the same table of routes must not lead there again.
UPLOAD_HEADER: Final = "x-seatrial-upload"
_NAME: Final = "seatrial.upload"
_FILTER: Final = "envoy.filters.http.buffer"
_BUFFER: Final = f"{TYPE}envoy.extensions.filters.http.buffer.v3"
_ANY_LARGER: Final = 2**62


def upload_routes() -> list[Json]:
    """The first routes of the table."""
    first: Json = {"name": UPLOAD_HEADER, "present_match": True, "invert_match": True}
    large = {"headers": [first, _length_from(SMALL_BYTES + 1)]}
    in_chunks = {"headers": [first, {"name": "transfer-encoding", "present_match": True}]}
    of_unknown_length = {
        "headers": [
            first,
            {"name": "content-length", "present_match": True, "invert_match": True},
            {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}, "invert_match": True},
        ]
    }
    as_it_comes = {_FILTER: {"@type": f"{_BUFFER}.BufferPerRoute", "disabled": True}}
    inwards = {
        # The second listener has limits of its own, and always ends.
        "route": {
            "weighted_clusters": {
                "use_hash_policy": True,
                "clusters": [{"name": _way(number), "weight": 1} for number in range(WAYS)],
            },
            "hash_policy": [{"connection_properties": {"source_ip": True}}],
            "timeout": "0s",
        },
        "request_headers_to_add": [mark(UPLOAD_HEADER), sent_from()],
        "typed_per_filter_config": as_it_comes,
    }
    conditions = (large, in_chunks, of_unknown_length)
    return [{"name": _NAME, "match": {"prefix": "/", **match}, **inwards} for match in conditions]


def upload_clusters(socket: Path, protocol: Json) -> list[Json]:
    """The second listener, by each way on which the first one asks it."""
    return [_cluster(_way(number), socket, protocol) for number in range(WAYS)]


def _cluster(name: str, socket: Path, protocol: Json) -> Json:
    return {
        "name": name,
        "connect_timeout": "0.5s",
        "type": "STATIC",
        "load_assignment": load_assignment(name, (str(socket),)),
        "circuit_breakers": {"thresholds": [{"max_connections": AT_ONCE // WAYS, "max_pending_requests": WAITING}]},
        "per_connection_buffer_limit_bytes": SMALL_BYTES,
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }


def buffer_filter(most_bytes: int) -> Json:
    """The filter that passes a request on once it is whole; one with a larger body gets 413."""
    return {"name": _FILTER, "typed_config": {"@type": f"{_BUFFER}.Buffer", "max_request_bytes": most_bytes}}


def _way(number: int) -> str:
    return f"{_CLUSTER}-{number}"


def _length_from(least: int) -> Json:
    return {"name": "content-length", "range_match": {"start": least, "end": _ANY_LARGER}}
