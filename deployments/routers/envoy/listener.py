"""What a request meets before it is routed: the address, the limits, the counting, and the errors' form."""

from collections.abc import Iterable
from pathlib import Path

from deployments.routers.envoy.access_log import (
    KEYED_HEADER,
    attempt_logs,
    histogram_buckets,
    match_nobody,
    request_logs,
)
from deployments.routers.envoy.clusters import TYPE, control_cluster, protocol
from deployments.routers.envoy.config_files import EnvoyFiles, Json
from deployments.routers.envoy.headers import ADMITTED_HEADER, PEER_HEADER, SENDER_HEADER
from deployments.routers.envoy.overload import chains, overload_manager
from deployments.routers.envoy.public_listener import filters, of_admitted, refusals, tls
from deployments.routers.envoy.route_config import MIRRORED_HEADER, PAIRED_HEADER, TABLE
from deployments.routers.envoy.upload_concurrency import (
    MAX_BODY_BYTES,
    SMALL_BYTES,
    UPLOAD_HEADER,
    buffer_filter,
    upload_clusters,
)

STAT_PREFIX = "gateway"
_REGEX_SIZE = 400
_HTTP2_WINDOW = 64 * 1024
_FILTERS = f"{TYPE}envoy.extensions.filters"
_SOURCE_VERSION = "V3"
_ADMIN_PATHS = (
    {"prefix": "/stats"},
    {"prefix": "/clusters"},
    {"prefix": "/config_dump"},
    {"prefix": "/drain_listeners"},
    {"exact": "/ready"},
    {"exact": "/server_info"},
    {"exact": "/reopen_logs"},
)


def bootstrap(files: EnvoyFiles, host: str, port: int, public: tuple[str, int] | None = None) -> Json:
    """What Envoy starts with: the listeners stand here, so that a taken port ends the process with an error.

    `public` is where others are listened to, by TLS and keys; None: nowhere.
    """
    routes = {"rds": {"route_config_name": TABLE, "config_source": _watched(str(files.routes))}}
    return {
        **_process(),
        "admin": {
            "address": {"pipe": {"path": str(files.admin_socket), "mode": 0o600}},
            "allow_paths": list(_ADMIN_PATHS),
        },
        "dynamic_resources": {"cds_config": _watched(str(files.clusters))},
        "static_resources": {
            "listeners": [
                _listener(host, port, routes, files.user_log),
                _for_uploads(files, routes),
                *([_for_others(*public, files, routes)] if public else []),
            ],
            "clusters": _own_clusters(files),
        },
    }


def candidate(files: EnvoyFiles, clusters: Iterable[Json], table: Json) -> Json:
    """The same gateway with everything inline, as `--mode validate` must be asked: it reads no watched file."""
    inline = {"route_config": {key: value for key, value in table.items() if key != "@type"}}
    listed = [{key: value for key, value in cluster.items() if key != "@type"} for cluster in clusters]
    return {
        **_process(),
        "static_resources": {
            "listeners": [_listener("127.0.0.1", 0, inline, files.user_log)],
            "clusters": [*_own_clusters(files), *listed],
        },
    }


def _watched(path: str) -> Json:
    return {"path_config_source": {"path": path}, "resource_api_version": _SOURCE_VERSION}


def _process() -> Json:
    return {
        "node": {"id": "seatrial-gateway", "cluster": "seatrial"},
        # Histograms are merged at this pace; the default of 5 s is too late for a judge.
        "stats_flush_interval": "0.5s",
        "stats_config": {"histogram_bucket_settings": histogram_buckets()},
        # The default of 100 does not hold the route of a product whose name has the full 40 letters.
        "layered_runtime": {
            "layers": [{"name": "limits", "static_layer": {"re2.max_program_size.error_level": _REGEX_SIZE}}]
        },
        "application_log_config": {"log_format": {"text_format": "%Y-%m-%dT%H:%M:%S.%e%z %l envoy.%n %_"}},
        "overload_manager": overload_manager(),
    }


def _own_clusters(files: EnvoyFiles) -> list[Json]:
    return [control_cluster(files.control_socket), *upload_clusters(files.upload_socket, protocol())]


def _listener(host: str, port: int, routes: Json, users: Path) -> Json:
    manager = {"name": "http", "typed_config": _connection_manager(routes, users, SMALL_BYTES) | _for_clients()}
    return _listening("main", host, port, manager)


def _listening(name: str, host: str, port: int, manager: Json) -> Json:
    return {
        "name": name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        # With the default a second process shares the port in silence.
        "enable_reuse_port": False,
        "per_connection_buffer_limit_bytes": SMALL_BYTES,
        **chains([manager]),
    }


def _for_others(host: str, port: int, files: EnvoyFiles, routes: Json) -> Json:
    settings = _connection_manager(routes, files.user_log, SMALL_BYTES) | _for_clients()
    # A refusal waits for the whole request, for some clients of HTTP/2 take an early one for none.
    whole, *others = settings["http_filters"]
    settings["http_filters"] = [whole, *filters(files), *others]
    settings["access_log"] = of_admitted(settings["access_log"])
    replies = settings["local_reply_config"]
    settings["local_reply_config"] = replies | {"mappers": [*refusals(), *replies["mappers"]]}
    listener = _listening("public", host, port, {"name": "http", "typed_config": settings})
    return listener | {"filter_chains": [each | {"transport_socket": tls(files)} for each in listener["filter_chains"]]}


def _for_uploads(files: EnvoyFiles, routes: Json) -> Json:
    """Large requests come in here again, from the first listener only."""
    inner = {"use_remote_address": False, "preserve_external_request_id": True}
    settings = _connection_manager(routes, files.user_log, MAX_BODY_BYTES) | inner
    manager = {"name": "http", "typed_config": settings}
    return {
        "name": "uploads",
        "address": {"pipe": {"path": str(files.upload_socket), "mode": 0o600}},
        "per_connection_buffer_limit_bytes": SMALL_BYTES,
        "filter_chains": [{"filters": [manager]}],
    }


def _for_clients() -> Json:
    return {
        # Strips the headers by which a client could pretend to be the gateway.
        "use_remote_address": True,
        "early_header_mutation_extensions": [_without_our_own_marks()],
        # nginx and ab speak it by default.
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "seatrial"},
        "http2_protocol_options": {
            "max_concurrent_streams": 100,
            "initial_stream_window_size": _HTTP2_WINDOW,
            "initial_connection_window_size": _HTTP2_WINDOW,
        },
    }


def _connection_manager(routes: Json, users: Path, most_bytes: int) -> Json:
    return {
        "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": STAT_PREFIX,
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_header_transformation": "PASS_THROUGH",
        # Against clients that send slowly or not at all, on connections that others need; the stream's limit must
        # exceed the slowest prediction.
        "request_headers_timeout": "10s",
        "request_timeout": "60s",
        "stream_idle_timeout": "65s",
        "common_http_protocol_options": {"idle_timeout": "75s", "headers_with_underscores_action": "REJECT_REQUEST"},
        "local_reply_config": _own_replies(),
        "access_log": request_logs(users),
        "http_filters": [
            buffer_filter(most_bytes),
            match_nobody(),
            _filter(
                "router",
                f"{_FILTERS}.http.router.v3.Router",
                suppress_envoy_headers=True,
                upstream_log=attempt_logs(users),
            ),
        ],
        **routes,
    }


def _without_our_own_marks() -> Json:
    mutation = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    marks = (
        MIRRORED_HEADER,
        PAIRED_HEADER,
        KEYED_HEADER,
        UPLOAD_HEADER,
        SENDER_HEADER,
        PEER_HEADER,
        ADMITTED_HEADER,
    )
    removed = [{"remove": header} for header in marks]
    return {"name": "own-marks", "typed_config": {"@type": f"{TYPE}{mutation}", "mutations": removed}}


def _filter(name: str, kind: str, **settings: int | bool | list[Json]) -> Json:
    return {"name": f"envoy.filters.http.{name}", "typed_config": {"@type": kind, **settings}}


def _own_replies() -> Json:
    """What Envoy answers itself is JSON: an error says `error`, a success is passed on as it stands.

    Either has the request's id. What servers answer has it from them, and with a seal: Envoy would take that off.
    """
    named = {"headers_to_add": [{"header": {"key": "x-request-id", "value": "%REQ(X-REQUEST-ID)%"}}]}
    success = {
        "status_code_filter": {"comparison": {"op": "EQ", "value": {"default_value": 200, "runtime_key": "unused"}}}
    }
    as_it_stands = {"text_format_source": {"inline_string": "%LOCAL_REPLY_BODY%"}, "content_type": "application/json"}
    return {
        "mappers": [
            {"filter": success, "body_format_override": as_it_stands, **named},
            {"filter": _any_code(), **named},
        ],
        "body_format": {"json_format": {"error": "%LOCAL_REPLY_BODY%"}},
    }


def _any_code() -> Json:
    value = {"default_value": 100, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": value}}}
