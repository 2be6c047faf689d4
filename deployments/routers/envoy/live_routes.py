"""What the live route table means: the way back from Envoy's words to a routing."""

from collections.abc import Mapping

from deployments.routers.envoy.clusters import mirror_name, product_and_version
from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.route_config import key_name, match_name
from deployments.traffic import PARTS, Backend, Match, Mirror, Routing, StickyKey, Weights

_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


def live_routing(table: Json, product: str, backends: tuple[Backend, ...]) -> Routing | None:
    """The routing that a route configuration gives to `product`, whose live servers are `backends`.

    None if there is no such route, or one that no routing stands for (somebody edited it): it leads elsewhere than to
    servers of this product, or keeps no user with a version.
    """
    # A gateway that an earlier version of Seatrial told has one name for both.
    splits = [*_named(table, key_name(product)), *_named(table, product)]
    try:
        routings = [
            Routing(
                backends,
                _weights(split["route"], product),
                tuple(_match(route, product) for route in _named(table, match_name(product))),
                _mirror(split["route"], product),
                _key(splits),
            )
            for split in splits
        ]
    except (KeyError, IndexError, ValueError):
        return None
    return routings[0] if routings and all(each == routings[0] for each in routings) else None


def _named(table: Json, name: str) -> list[Json]:
    hosts = table.get("virtual_hosts", ())
    return [route for host in hosts for route in host.get("routes", ()) if route.get("name") == name]


def _weights(action: Json, product: str) -> Weights:
    if "cluster" in action:
        return Weights.all_to(_version(action["cluster"], product))
    shares = action["weighted_clusters"]["clusters"]
    return Weights.of_parts(_in_parts({_version(each["name"], product): each.get("weight", 0) for each in shares}))


def _version(cluster: str, product: str) -> int:
    owner = product_and_version(cluster)
    if owner is None or owner[0] != product:
        raise ValueError(f"{cluster} is no version of {product}")
    return owner[1]


def _match(route: Json, product: str) -> Match:
    version = _version(route["route"]["cluster"], product)
    if "headers" in route["match"]:
        (header,) = route["match"]["headers"]
        return Match(version, header["string_match"]["exact"], header=header["name"])
    (cookie,) = route["match"]["cookies"]
    return Match(version, cookie["string_match"]["exact"], cookie=cookie["name"])


def _mirror(action: Json, product: str) -> Mirror | None:
    if "request_mirror_policies" not in action:
        return None
    (policy,) = action["request_mirror_policies"]
    fraction = policy["runtime_fraction"]["default_value"]
    share = fraction.get("numerator", 0) / _DENOMINATORS[fraction.get("denominator", "HUNDRED")]
    version = _version(policy["cluster"].removesuffix("_mirror"), product)
    if policy["cluster"] != mirror_name(product, version):
        raise ValueError(f"{policy['cluster']} is not capped")
    return Mirror(version, round(share * 100, 2))


def _key(splits: list[Json]) -> StickyKey:
    (policy,) = splits[0]["route"]["hash_policy"]
    if policy["header"]["header_name"] == "cookie":
        return StickyKey(cookie=splits[0]["match"]["cookies"][0]["name"])
    return StickyKey(header=policy["header"]["header_name"])


def _in_parts(weights: Mapping[int, int]) -> dict[int, int]:
    """Largest remainders: ten-thousandths that add up, whatever total somebody has written."""
    total = sum(weights.values())
    if not total:
        raise ValueError("no version has any weight")
    parts = {version: weight * PARTS // total for version, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda version: (-(weights[version] * PARTS % total), version))
    for version in by_remainder[: PARTS - sum(parts.values())]:
        parts[version] += 1
    return parts
