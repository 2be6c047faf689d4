"""Which path goes to which versions.

A product's routes, in the order in which they are tried: its preview addresses (one version each), its matches, its
split for users with a key, and its split for everybody else. They are named `flights.preview`, `flights.match`,
`flights.key` and `flights`, and counted under these names.
"""

from collections.abc import Iterator, Mapping

from deployments.routers.envoy.access_log import KEYED_HEADER, user_of
from deployments.routers.envoy.clusters import CONTROL, TYPE, cluster_name, mirror_name
from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.headers import came_by, mark, sent_from
from deployments.routers.envoy.upload_concurrency import upload_routes
from deployments.routers.version_selection import VERSION_HEADER
from deployments.traffic import DEFAULT_KEY, Match, Mirror, Routing, StickyKey, Weights

TABLE = "products"
HEALTH_PATH = "/seatrial/health"
FEEDBACK_PATH = "/seatrial/feedback"
WEBHOOKS_PATH = "/seatrial/webhooks"
# The page, the API and the login before both.
PAGE_PATH = "/seatrial"
MIRRORED_HEADER = "x-seatrial-mirrored"
PAIRED_HEADER = "x-seatrial-paired"

_UNKNOWN = "no product at this path; use /<product>/invocations or /v2/models/<product>/infer"


def route_table(products: Mapping[str, Routing]) -> Json:
    """The whole route configuration. Every version in it must have its cluster, else Envoy refuses it."""
    return {
        "@type": f"{TYPE}envoy.config.route.v3.RouteConfiguration",
        "name": TABLE,
        "validate_clusters": True,
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": list(_routes(products)),
            }
        ],
    }


def _routes(products: Mapping[str, Routing]) -> Iterator[Json]:
    yield from upload_routes()
    yield _own_answer("seatrial.health", {"path": HEALTH_PATH}, 200, '{"status": "up"}')
    yield _feedback()
    yield _webhooks()
    yield _page()
    for product, routing in sorted(products.items()):
        yield from _product_routes(product, routing)
    yield _own_answer("seatrial.no-product", {"prefix": "/"}, 404, _UNKNOWN)


def with_routing(table: Json, product: str, routing: Routing) -> Json:
    """`table` with the routes of one product being those of `routing`; those of others stay as they stand there.

    Raises KeyError or IndexError for what is no route table of ours.
    """
    host = table["virtual_hosts"][0]
    ours = {product, key_name(product), match_name(product), _preview_name(product)}
    others = [route for route in host["routes"] if route.get("name") not in ours]
    # Before the last, which answers whoever asks for no product.
    routes = [*others[:-1], *_product_routes(product, routing), *others[-1:]]
    return {**table, "virtual_hosts": [{**host, "routes": routes}, *table["virtual_hosts"][1:]]}


def match_name(product: str) -> str:
    """Name of the routes that lead to one version because of a header or cookie."""
    return f"{product}.match"


def key_name(product: str) -> str:
    """Name of the split's route for requests that carry the product's key."""
    return f"{product}.key"


def _preview_name(product: str) -> str:
    return f"{product}.preview"


def _own_answer(name: str, match: Json, status: int, body: str) -> Json:
    return {"name": name, "match": match, "direct_response": {"status": status, "body": {"inline_string": body}}}


def _feedback() -> Json:
    # A browser asks first, by OPTIONS, whether a page may send.
    methods = [{"name": ":method", "string_match": {"safe_regex": {"regex": "POST|OPTIONS"}}}]
    return {
        "name": "seatrial.feedback",
        "match": {"path": FEEDBACK_PATH, "headers": methods},
        "route": {"cluster": CONTROL, "timeout": "10s"},
        "request_headers_to_add": [sent_from()],
    }


def _webhooks() -> Json:
    return {
        "name": "seatrial.webhooks",
        "match": {
            "path_separated_prefix": WEBHOOKS_PATH,
            "headers": [{"name": ":method", "string_match": {"exact": "POST"}}],
        },
        "route": {"cluster": CONTROL, "timeout": "10s"},
        "request_headers_to_add": [sent_from()],
    }


def _page() -> Json:
    # A page that is watched stays open: it hears something every few seconds, else it is given up.
    return {
        "name": "seatrial.page",
        "match": {"path_separated_prefix": PAGE_PATH},
        "route": {"cluster": CONTROL, "timeout": "0s", "idle_timeout": "60s"},
        "request_headers_to_add": [sent_from(), came_by()],
    }


def _product_routes(product: str, routing: Routing) -> Iterator[Json]:
    yield from _previews(product, routing)
    for match in routing.matches:
        route = _to_version(product, match.version, _on_any_path(product) | _condition(match))
        yield {"name": match_name(product), **route}
    yield from _splits(product, routing)


def _previews(product: str, routing: Routing) -> Iterator[Json]:
    name, versions = _preview_name(product), f"/v2/models/{product}/versions"
    for backend in routing.backends:
        by_path = {"path_separated_prefix": f"{versions}/{backend.version}"}
        yield {"name": name, **_to_version(product, backend.version, by_path)}
    for backend in routing.backends:
        by_header = _on_any_path(product) | _equal("headers", VERSION_HEADER, str(backend.version))
        yield {"name": name, **_to_version(product, backend.version, by_header)}
    # Who asks for a version must not be answered by another one.
    nobody = f"no such version of {product} at this gateway"
    any_version: Json = {"headers": [{"name": VERSION_HEADER, "present_match": True}]}
    yield _own_answer(name, {"prefix": f"{versions}/"}, 404, nobody)
    yield _own_answer(name, _on_any_path(product) | any_version, 404, nobody)


def _splits(product: str, routing: Routing) -> Iterator[Json]:
    """Two routes: requests without the key, or with an empty one, must be split by chance."""
    split = _split(product, routing.weights) | _mirroring(product, routing.mirror)
    key = routing.key or StickyKey(header=DEFAULT_KEY)
    where, name = ("headers", key.header) if key.header is not None else ("cookies", key.cookie)
    with_key: Json = {where: [{"name": name, "string_match": {"safe_regex": {"regex": ".+"}}}]}
    hashed = {"hash_policy": [{"header": _salted(product, key)}]}
    paired = [mark(PAIRED_HEADER)] if routing.mirror else []
    everybody = _split_route(product, _on_any_path(product), split, paired)
    by_user = _split_route(key_name(product), _on_any_path(product) | with_key, split | hashed, paired)
    if is_split(routing.weights):
        # A line for each request of a user, but only where chance decides who answers him.
        by_user["request_headers_to_add"] = [*paired, mark(KEYED_HEADER)]
        by_user["typed_per_filter_config"] = user_of(key)
    yield by_user
    yield everybody


def is_split(weights: Weights) -> bool:
    """Whether more than one version gets some of the requests."""
    return sum(part > 0 for part in weights.parts.values()) > 1


def _split_route(name: str, match: Json, action: Json, headers: list[Json]) -> Json:
    route: Json = {"name": name, "match": match, "route": action}
    return route | {"request_headers_to_add": headers} if headers else route


def _split(product: str, weights: Weights) -> Json:
    """Always 10,000 parts, versions ascending: a key's place never moves, only the borders between versions do."""
    shares = [{"name": cluster_name(product, version), "weight": part} for version, part in weights.parts.items()]
    return _action(product) | {"weighted_clusters": {"use_hash_policy": True, "clusters": shares}}


def _mirroring(product: str, mirror: Mirror | None) -> Json:
    if mirror is None:
        return {}
    policy = {
        "cluster": mirror_name(product, mirror.version),
        "runtime_fraction": {"default_value": {"numerator": mirror.parts, "denominator": "TEN_THOUSAND"}},
        "disable_shadow_host_suffix_append": True,
        "request_headers_mutations": [*_removed(PAIRED_HEADER, KEYED_HEADER), {"append": mark(MIRRORED_HEADER)}],
    }
    return {"request_mirror_policies": [policy]}


def _removed(*headers: str) -> list[Json]:
    return [{"remove": header} for header in headers]


def _to_version(product: str, version: int, match: Json) -> Json:
    return {"match": match, "route": _action(product) | {"cluster": cluster_name(product, version)}}


def _on_any_path(product: str) -> Json:
    # The whole path must match.
    return {"safe_regex": {"regex": f"/v2/models/{product}(/.*)?|/{product}/.*"}}


def _condition(match: Match) -> Json:
    if match.header is not None:
        return _equal("headers", match.header, match.value)
    return _equal("cookies", match.cookie or "", match.value)


def _equal(where: str, name: str, value: str) -> Json:
    return {where: [{"name": name, "string_match": {"exact": value}}]}


def _salted(product: str, key: StickyKey) -> Json:
    # Salted, so that the same users are not the first ones in every product's canary.
    name, pattern = key.header, "^(.*)$"
    if key.cookie is not None:
        name, pattern = "cookie", f"^(?:.*?;\\s*)?{key.cookie}=([^;]*).*$"
    return {"header_name": name, "regex_rewrite": {"pattern": {"regex": pattern}, "substitution": f"{product}:\\1"}}


def _action(product: str) -> Json:
    return {
        "timeout": "60s",
        # Touches only the short form; the other already is the server's own path.
        "regex_rewrite": {"pattern": {"regex": f"^/{product}/"}, "substitution": "/"},
        "retry_policy": _retries(),
    }


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
