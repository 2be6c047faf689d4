"""The listener for others than this machine: TLS, a key for each product, and a bound on what a product is asked.

It stands beside the one on loopback, in the same Envoy, and has the same routes and counters. A request that it refuses
is counted for no version: the route has chosen one by then, which never sees it. Certificate and keys are files that
Envoy watches, each replaced in one step: nothing is started anew for a new key.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from deployments.routers.envoy.clusters import TYPE
from deployments.routers.envoy.config_files import EnvoyFiles, Json, read_document, versioned, write_document
from deployments.routers.envoy.headers import ADMITTED_HEADER, mark

KEY_HEADER: Final = "x-api-key"
_RBAC: Final = "envoy.filters.http.rbac"
_RATES: Final = "envoy.filters.http.local_ratelimit"
_FILTERS: Final = f"{TYPE}envoy.extensions.filters.http"
_TLS: Final = f"{TYPE}envoy.extensions.transport_sockets.tls.v3"
_CERTIFICATE: Final = "gateway"
_ALWAYS: Final = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_NO_KEY: Final = "show a key of this product in the header x-api-key"


def filters(files: EnvoyFiles) -> list[Json]:
    """What a request meets once it is whole: whether its key is of this product, and how often that is asked."""
    return [
        _watched(_RBAC, files.keys, "rbac.v3.RBAC"),
        _watched(_RATES, files.rates, "local_ratelimit.v3.LocalRateLimit"),
        _admitting(),
    ]


def of_admitted(logs: Sequence[Json]) -> list[Json]:
    """The same logs, of requests that were let in alone."""
    let_in = {"header_filter": {"header": {"name": ADMITTED_HEADER, "present_match": True}}}
    return [
        log | {"filter": {"and_filter": {"filters": [log["filter"], let_in]}} if "filter" in log else let_in}
        for log in logs
    ]


def tls(files: EnvoyFiles) -> Json:
    """The connection's own layer: TLS 1.2 or newer (RFC 8446), HTTP/2 where the client knows it (RFC 7301)."""
    secret = {"name": _CERTIFICATE, "sds_config": _source(str(files.certificate))}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_TLS}.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
                "tls_certificate_sds_secret_configs": [secret],
            },
        },
    }


def refusals() -> list[Json]:
    """In whose words it refuses: 401 for no key or a wrong one (RFC 9110), 429 for too many requests."""

    def of(code: int, status: int, body: str) -> Json:
        compared = {"op": "EQ", "value": {"default_value": code, "runtime_key": "unused"}}
        told: Json = {"filter": {"status_code_filter": {"comparison": compared}}, "body": {"inline_string": body}}
        if code != status:
            told["status_code"] = status
        if status == 401:
            told["headers_to_add"] = [{"header": {"key": "www-authenticate", "value": 'ApiKey realm="Seatrial"'}}]
        return told

    return [
        of(403, 401, _NO_KEY),
        of(429, 429, "this product is asked more than SEATRIAL_PUBLIC_RATE allows: come again in a second"),
    ]


def write_certificate(files: EnvoyFiles, chain: str, private_key: str) -> None:
    """The pair (PEM), in one file, so that nobody ever sees half of a change."""
    pair = {"certificate_chain": {"inline_string": chain}, "private_key": {"inline_string": private_key}}
    secret = {"@type": f"{_TLS}.Secret", "name": _CERTIFICATE, "tls_certificate": pair}
    write_document(files.certificate, versioned([secret]))


def write_keys(files: EnvoyFiles, keys: Mapping[str, Sequence[str]]) -> None:
    """The keys of each product that has any."""
    write_document(files.keys, _extension(_RBAC, _policies(keys)))


def write_rates(files: EnvoyFiles, a_second: int, products: Iterable[str]) -> None:
    """How many requests a second each of these products may be asked."""
    write_document(files.rates, _extension(_RATES, _rates(a_second, sorted(products))))


def read_rate(files: EnvoyFiles) -> int | None:
    """How many requests a second each product may be asked, as it was written last; None: of no product yet."""
    document = read_document(files.rates)
    with suppress(KeyError, IndexError, TypeError, ValueError):
        bucket = (document or {})["resources"][0]["typed_config"]["descriptors"][0]["token_bucket"]
        return int(bucket["max_tokens"])
    return None


def _admitting() -> Json:
    mutations = {"request_mutations": [{"append": mark(ADMITTED_HEADER)}, {"remove": KEY_HEADER}]}
    settings = {"@type": f"{_FILTERS}.header_mutation.v3.HeaderMutation", "mutations": mutations}
    return {"name": "admitted", "typed_config": settings}


def _policies(keys: Mapping[str, Sequence[str]]) -> Json:
    """What is not allowed here is refused; whoever answers below `/seatrial/` asks by himself."""
    own = {"permissions": [{"url_path": {"path": {"prefix": "/seatrial/"}}}], "principals": [{"any": True}]}
    of_products = {
        f"product-{product}": {
            "permissions": [{"or_rules": {"rules": [{"url_path": {"path": path}} for path in _paths(product)]}}],
            "principals": [{"header": {"name": KEY_HEADER, "string_match": {"exact": key}}} for key in several],
        }
        for product, several in sorted(keys.items())
        if several
    }
    return {"@type": f"{_FILTERS}.rbac.v3.RBAC", "rules": {"action": "ALLOW", "policies": {"own": own, **of_products}}}


def _paths(product: str) -> list[Json]:
    model = f"/v2/models/{product}"
    return [{"prefix": f"/{product}/"}, {"exact": model}, {"prefix": f"{model}/"}]


def _rates(a_second: int, products: Sequence[str]) -> Json:
    bucket = {"max_tokens": a_second, "tokens_per_fill": a_second, "fill_interval": "1s"}
    wide = {"max_tokens": 1_000_000, "tokens_per_fill": 1_000_000, "fill_interval": "1s"}

    def action(product: str) -> Json:
        path = f"^(/{product}/|/v2/models/{product}(/|\\?|$)).*"
        header = {"name": ":path", "string_match": {"safe_regex": {"regex": path}}}
        match = {"descriptor_key": "product", "descriptor_value": product, "headers": [header]}
        return {"actions": [{"header_value_match": match}]}

    return {
        "@type": f"{_FILTERS}.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "public",
        "token_bucket": wide,
        "filter_enabled": _ALWAYS,
        "filter_enforced": _ALWAYS,
        "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
        "enable_retry_after_header": True,
        "rate_limits": [action(product) for product in products],
        "descriptors": [
            {"entries": [{"key": "product", "value": product}], "token_bucket": bucket} for product in products
        ],
    }


def _extension(name: str, settings: Json) -> Json:
    kind = f"{TYPE}envoy.config.core.v3.TypedExtensionConfig"
    return versioned([{"@type": kind, "name": name, "typed_config": settings}])


def _watched(name: str, path: object, kind: str) -> Json:
    return {
        "name": name,
        "config_discovery": {"config_source": _source(str(path)), "type_urls": [f"{_FILTERS}.{kind}"]},
    }


def _source(path: str) -> Json:
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}
