"""Which path goes to which versions: one route a product, so that its weights stand in one place only."""

from collections.abc import Mapping

from deployments.routers.envoy.clusters import TYPE, cluster_name, product_and_version
from deployments.routers.envoy.files import Json
from deployments.traffic import Routing, Weights

TABLE = "products"
HEALTH_PATH = "/seatrial/health"
KEY_HEADER = "x-seatrial-key"

# A constant total, or keys jump between versions; parts of a percent stay possible.
_PARTS_PER_PERCENT = 100
_UNKNOWN = "no product at this path; use /<product>/invocations or /v2/models/<product>/infer"


def route_table(products: Mapping[str, Routing]) -> Json:
    """The whole route configuration. Every weighted version must have its cluster, else Envoy refuses it."""
    return {
        "@type": f"{TYPE}envoy.config.route.v3.RouteConfiguration",
        "name": TABLE,
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    _own_answer("gateway-health", {"path": HEALTH_PATH}, 200, '{"status": "up"}'),
                    *(_product_route(product, routing.weights) for product, routing in sorted(products.items())),
                    _own_answer("no-product", {"prefix": "/"}, 404, _UNKNOWN),
                ],
            }
        ],
    }


def live_weights(table: Json, product: str) -> Weights | None:
    """The shares that a route configuration gives to the versions of `product`, rounded to whole percents.

    None if there is no such route, or one that leads elsewhere than to versions of this product.
    """
    parts: dict[int, int] = {}
    for cluster, weight in _destinations(table, product).items():
        owner = product_and_version(cluster)
        if owner is None or owner[0] != product:
            return None
        parts[owner[1]] = weight
    return Weights(_in_percent(parts)) if sum(parts.values()) else None


def _own_answer(name: str, match: Json, status: int, body: str) -> Json:
    return {"name": name, "match": match, "direct_response": {"status": status, "body": {"inline_string": body}}}


def _product_route(product: str, weights: Weights) -> Json:
    # The whole path must match. The rewrite touches only the short form; the other already is the server's own path.
    return {
        "name": product,
        "match": {"safe_regex": {"regex": f"/v2/models/{product}(/.*)?|/{product}/.*"}},
        "route": {
            "timeout": "60s",
            "regex_rewrite": {"pattern": {"regex": f"^/{product}/"}, "substitution": "/"},
            "hash_policy": [{"header": _salted_key(product)}],
            "weighted_clusters": {"use_hash_policy": True, "clusters": _shares(product, weights)},
            "retry_policy": _retries(),
        },
    }


def _salted_key(product: str) -> Json:
    # Salted, so that the same users are not the first ones in every product's canary.
    return {
        "header_name": KEY_HEADER,
        "regex_rewrite": {"pattern": {"regex": "^(.*)$"}, "substitution": f"{product}:\\1"},
    }


def _shares(product: str, weights: Weights) -> list[Json]:
    return [
        {"name": cluster_name(product, version), "weight": percent * _PARTS_PER_PERCENT}
        for version, percent in sorted(weights.percents.items())
    ]


def _retries() -> Json:
    previous = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
    return {
        # A prediction may be asked for twice. A 500 is not retried: it is the canary's, and has to count.
        "retry_on": "connect-failure,refused-stream,reset",
        "num_retries": 3,
        "retry_host_predicate": [{"name": "previous-hosts", "typed_config": {"@type": f"{TYPE}{previous}"}}],
        "host_selection_retry_max_attempts": 5,
        "retry_back_off": {"base_interval": "0.01s", "max_interval": "0.1s"},
    }


def _routes(table: Json) -> list[Json]:
    return [route for host in table.get("virtual_hosts", ()) for route in host.get("routes", ())]


def _destinations(table: Json, name: str) -> dict[str, int]:
    action: Json = next((route.get("route", {}) for route in _routes(table) if route.get("name") == name), {})
    if "cluster" in action:
        return {action["cluster"]: 1}
    return {each["name"]: each.get("weight", 0) for each in action.get("weighted_clusters", {}).get("clusters", ())}


def _in_percent(parts: Mapping[int, int]) -> dict[int, int]:
    """Largest remainders: whole percents that add up to 100."""
    total = sum(parts.values())
    percents = {version: part * 100 // total for version, part in parts.items()}
    by_remainder = sorted(parts, key=lambda version: (-(parts[version] * 100 % total), version))
    for version in by_remainder[: 100 - sum(percents.values())]:
        percents[version] += 1
    return percents
