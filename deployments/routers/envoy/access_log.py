"""What the gateway writes down of each request: counters for everybody, and lines for users with a key.

Counters and histograms are Envoy's own, read from its metrics page (`tallies`). A line is written only while a split
stands, for requests that carry the product's key: `user_log` reads them.
"""

from pathlib import Path
from typing import Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.routers.envoy.clusters import TYPE
from deployments.routers.envoy.config_files import Json
from deployments.traffic import StickyKey

MODEL_SCOPE: Final = "model"
# Envoy keeps bins of two significant digits, and counts the one that begins at a bound as below it: hence one less.
LATENCY_BOUNDS_US: Final = tuple(bound * 1000 - 1 for bound in LATENCY_BOUNDS_MS)
# Ages are whole milliseconds, cut off: one of 5 may be 5.9.
AGE_BOUNDS_MS: Final = tuple(bound - 0.5 for bound in LATENCY_BOUNDS_MS)
# Flags of a client that left, or spoke no HTTP any more, before it had its whole answer.
GIVEN_UP: Final = ("DC", "DR", "DPE")
# Flags of a connection that broke after the server had been asked. A refused one (UF) is not among them.
RESET: Final = ("UC", "UR", "LR", "UPE")
# Flags of an answer that broke off, or was cut off, after its code had been sent.
_BROKEN_OFF: Final = frozenset({*RESET, "UT", "SI", "UMSDR"})
# The header by which a route says that a line is to be written of the request, and the filter that finds its user.
KEYED_HEADER: Final = "x-seatrial-keyed"
USER_FILTER: Final = "envoy.filters.http.header_to_metadata"
_FINDER: Final = f"{TYPE}envoy.extensions.filters.http.header_to_metadata.v3.Config"
_PLACE: Final = {"metadata_namespace": "seatrial", "key": "user", "type": "STRING"}
# Tokens of an identity provider begin alike for hundreds of letters.
_LONGEST_KEY: Final = 2048

_LOGGERS = f"{TYPE}envoy.extensions.access_loggers"
_PRODUCT = {"name": "product", "value_format": "%ROUTE_NAME%"}
_VERSION = {"name": "version", "value_format": "%UPSTREAM_CLUSTER_RAW%"}


def is_given_up(flags: str) -> bool:
    """Whether Envoy's `flags` say that the client left before it had its whole answer."""
    return not set(GIVEN_UP).isdisjoint(flags.split(","))


def is_failed(code: int, flags: str) -> bool:
    """Whether a request that was not given up is an error: 5xx, no code at all, or an answer that broke off."""
    return code >= 500 or code == 0 or not _BROKEN_OFF.isdisjoint(flags.split(","))


def histogram_buckets() -> list[Json]:
    """Our own buckets for the two histograms."""
    return [
        {"match": {"prefix": f"{MODEL_SCOPE}.latency"}, "buckets": list(LATENCY_BOUNDS_US)},
        {"match": {"prefix": f"{MODEL_SCOPE}.age"}, "buckets": list(AGE_BOUNDS_MS)},
    ]


def request_logs(users: Path) -> list[Json]:
    """What is noted when a request is over: answered, given up or failed. Lines go to the file `users`."""
    code = {"name": "code", "value_format": "%RESPONSE_CODE%"}
    flags = {"name": "flags", "value_format": "%RESPONSE_FLAGS%"}
    attempts = {"name": "attempts", "value_format": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"}
    counters = _statistics(counters=[_counter("requests", _PRODUCT, _VERSION, code, flags, attempts)])
    latency = _statistics(
        histograms=[_histogram("latency", "Microseconds", "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%")]
    )
    age = _statistics(histograms=[_histogram("age", "Milliseconds", "%DURATION%", attempts)])
    return [
        {**counters},
        # A request without the end of an answer has no latency.
        {**latency, "filter": _from_code(100)},
        {**age, "filter": _any_flag(GIVEN_UP)},
        {**_lines(users, _REQUEST_LINE), "filter": _marked()},
    ]


def attempt_logs(users: Path) -> list[Json]:
    """What is noted of each attempt whose connection broke after the server had been asked."""
    broken = _statistics(counters=[_counter("resets", _PRODUCT, _VERSION)])
    line = {**_lines(users, _RESET_LINE), "filter": {"and_filter": {"filters": [_any_flag(RESET), _marked()]}}}
    return [{**broken, "filter": _any_flag(RESET)}, line]


def match_nobody() -> Json:
    """The filter that looks for users, where it looks for none."""
    return {"name": USER_FILTER, "typed_config": {"@type": _FINDER}}


def user_of(key: StickyKey) -> Json:
    """For one route: the value of `key` is the user, and the log shows him."""
    place = {"header": key.header} if key.header is not None else {"cookie": key.cookie}
    return {USER_FILTER: {"@type": _FINDER, "request_rules": [{**place, "on_header_present": _PLACE}]}}


def _counter(name: str, *tags: Json) -> Json:
    return {"stat": {"name": name, "tags": list(tags)}, "value_fixed": 1}


def _histogram(name: str, unit: str, value: str, *tags: Json) -> Json:
    return {"stat": {"name": name, "tags": [_PRODUCT, _VERSION, *tags]}, "unit": unit, "value_format": value}


def _statistics(**stats: list[Json]) -> Json:
    config = {"@type": f"{_LOGGERS}.stats.v3.Config", "stats_scope": {"prefix": MODEL_SCOPE}, **stats}
    return {"name": "stats", "typed_config": config}


_REQUEST_LINE: Final = {
    "at": "%START_TIME(%s.%6f)%",
    "id": "%REQ(X-REQUEST-ID)%",
    "route": "%ROUTE_NAME%",
    "version": "%UPSTREAM_CLUSTER_RAW%",
    "key": f"%DYNAMIC_METADATA(seatrial:user):{_LONGEST_KEY}%",
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "ms": "%DURATION%",
    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
}
_RESET_LINE: Final = {"id": "%REQ(X-REQUEST-ID)%", "reset": "%UPSTREAM_CLUSTER_RAW%"}


def _lines(path: Path, line: Json) -> Json:
    kind = f"{_LOGGERS}.file.v3.FileAccessLog"
    config = {"@type": kind, "path": str(path), "log_format": {"json_format": line}}
    return {"name": "users", "typed_config": config}


def _from_code(least: int) -> Json:
    value = {"default_value": least, "runtime_key": "unused"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": value}}}


def _any_flag(flags: tuple[str, ...]) -> Json:
    return {"response_flag_filter": {"flags": list(flags)}}


def _marked() -> Json:
    return {"header_filter": {"header": {"name": KEYED_HEADER, "present_match": True}}}
