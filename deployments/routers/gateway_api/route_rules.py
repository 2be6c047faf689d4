"""A product's routing as rules of an HTTPRoute, and back.

Ours have names of ours; every other rule is somebody else's, wherever it leads. Gateway API before 1.4 drops names:
where no rule has one of ours, ours are those without a name that lead to the product's versions only, in our manner.
A user's sticky key has no counterpart in Gateway API v1: requests are split by chance, each on its own.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from deployments.caller_authentication import GATEWAY_HEADER
from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT, object_name
from deployments.errors import RouterRefused
from deployments.routers.version_selection import VERSION_HEADER
from deployments.traffic import PARTS, Backend, Match, Mirror, Routing, Weights

Object = dict[str, Any]

_REWRITE: Final = {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}

# A cookie's value as a pattern of the whole header, and what finds that again.
_BEFORE, _AFTER = "(^|.*; ?)", "(;.*|$)"
_COOKIE: Final = re.compile(rf"{re.escape(_BEFORE)}(?P<name>[A-Za-z0-9_-]+)=(?P<value>.*){re.escape(_AFTER)}")

# Of RE2, which knows fewer escapes than Python.
_SPECIAL, _ESCAPED = re.compile(r"[.*+?()\[\]{}^$|\\]"), r"\\\g<0>"


def rules_of(product: str, routing: Routing, path: str, proof: str = "") -> list[Object]:
    """The rules that make `routing` true below `path`, that of the split first.

    Many gateways (Envoy Gateway is one) name what they build of a rule after its place in the route: one whose place
    changes while it leads users is answered with 503 until all of that has been built anew. So the split keeps its
    place while previews come and go; for a gateway the more particular rule goes before it, wherever it stands.
    With copies, and with what is copied, the gateway shows its `proof`, if there is one.

    Raises `RouterRefused` for what Gateway API cannot say.
    """
    if routing.key is not None:
        raise RouterRefused(
            f"{product}: Gateway API cannot keep users with a version by {routing.key}: leave rollout.key out"
        )
    previews = [
        _rule(
            f"{_mark(product)}preview-v{backend.version}",
            path,
            [_back_end(product, backend.version)],
            [_exact(VERSION_HEADER, str(backend.version))],
        )
        for backend in routing.backends
    ]
    matches = [
        _rule(f"{_mark(product)}match-{number}", path, [_back_end(product, match.version)], [_header_match(match)])
        for number, match in enumerate(routing.matches, 1)
    ]
    return [_split(product, routing, path, proof), *previews, *matches]


def routing_of(product: str, ours: Sequence[Object], backends: Sequence[Backend]) -> Routing | None:
    """The routing that our rules make; None if there are none, or if they are not as we write them.

    `backends` says which servers each version has.
    """
    splits = [rule for rule in ours if not _headers(rule)]
    if len(splits) != 1:
        return None
    try:
        matches = [
            _match_of(header, _versions(product, rule)[0])
            for rule in ours
            for header in _headers(rule)
            if header["name"].lower() != VERSION_HEADER
        ]
        weights = Weights.of_parts(
            {_version(product, each["name"]): int(each.get("weight", 1)) for each in splits[0]["backendRefs"]}
        )
        return Routing(tuple(backends), weights, tuple(matches), _mirror_of(product, splits[0]))
    except (ValueError, LookupError):
        return None


def are_as_written(written: Sequence[Object], found: Sequence[Object]) -> bool:
    """Whether rules are found as they were written, in any order; a server may have filled in fields, or dropped names.

    Each of them is met by other requests, so that their order says nothing.
    """
    wanted = [{key: value for key, value in rule.items() if key != "name"} for rule in written]
    return len(wanted) == len(found) and all(any(_is_within(rule, each) for each in found) for rule in wanted)


def ours_among(product: str, rules: Sequence[Object], path: str) -> list[Object]:
    """Those among `rules` that are ours, in their order."""
    named = [rule for rule in rules if str(rule.get("name", "")).startswith(_mark(product))]
    return named or [rule for rule in rules if _looks_like_ours(product, rule, path)]


def known_versions(product: str, ours: Sequence[Object]) -> tuple[int, ...]:
    """Versions that our rules lead to, in ascending order."""
    names = [name for rule in ours for name in _services(rule)]
    return tuple(sorted({int(found[1]) for name in names if (found := _pattern(product).fullmatch(name))}))


def with_ours(rules: Sequence[Object], former: Sequence[Object], ours: Sequence[Object]) -> list[Object]:
    """`rules` with `former` ones of ours replaced by `ours`; others stay as they are.

    The first of ours stands where the first of them was, and the rest behind all others, none of which changes its
    place then when ours become more or fewer.
    """
    place = next((number for number, rule in enumerate(rules) if rule in former), len(rules))
    others = [rule for rule in rules[place:] if rule not in former]
    return [*rules[:place], *ours[:1], *others, *ours[1:]]


def update_stages(product: str, former: Sequence[Object], wanted: Sequence[Object], path: str) -> list[list[Object]]:
    """What our rules have to be, one after the other, so that nobody is led where a gateway does not know the way yet.

    Many gateways hear of a route's back ends and of its rules apart, and answer with 503 while one is there without the
    other. So a back end is named in a rule that nobody meets before requests are led to it, and stays named in one
    until requests are led elsewhere. The last stage is `wanted`, and in most cases the only one.
    """
    if not former:
        return [list(wanted)]
    coming = _named(wanted) - _named(former) if _asked(wanted) - _named(former) else frozenset()
    going = frozenset(place for place in _asked(former) - _named(wanted) if _pattern(product).fullmatch(place[0]))
    before = [_beside(product, former, coming, path)] if coming else []
    after = [_beside(product, wanted, going, path)] if going else []
    return [*before, *after, list(wanted)]


def _beside(product: str, rules: Sequence[Object], back_ends: frozenset[tuple[str, int]], path: str) -> list[Object]:
    """`rules`, and one more that leads to `back_ends` and that no request meets; without a name if they have none."""
    named = [_back_end(product, _version(product, name), port=port) for name, port in sorted(back_ends)]
    standing = _rule(f"{_mark(product)}standing", path, named, [_exact(VERSION_HEADER, "standing")])
    if not any("name" in rule for rule in rules):
        del standing["name"]
    return [*rules, standing]


def _named(rules: Sequence[Object]) -> frozenset[tuple[str, int]]:
    """Services and ports that rules lead to, be it by a header that nobody sends."""
    return frozenset(_place(each) for rule in rules for each in _references(rule))


def _asked(rules: Sequence[Object]) -> frozenset[tuple[str, int]]:
    """Those that get requests which name no version."""
    asked = (rule for rule in rules if all(each["name"].lower() != VERSION_HEADER for each in _headers(rule)))
    return frozenset(_place(each) for rule in asked for each in _references(rule) if each.get("weight", 1))


def _place(reference: Object) -> tuple[str, int]:
    return reference["name"], reference.get("port", PORT)


def _mark(product: str) -> str:
    """How the names of our rules begin."""
    return f"seatrial.{product}."


def _looks_like_ours(product: str, rule: Mapping[str, Any], path: str) -> bool:
    services = [each.get("name", "") for each in rule.get("backendRefs") or []]
    paths = [match.get("path", {}).get("value") for match in rule.get("matches") or []]
    rewrites = any(each.get("urlRewrite") == _REWRITE for each in rule.get("filters") or [])
    leads_to_us = bool(services) and all(_pattern(product).fullmatch(name) for name in services)
    return "name" not in rule and leads_to_us and (path in paths or rewrites)


def _split(product: str, routing: Routing, path: str, proof: str) -> Object:
    port = PAIRED_PORT if routing.mirror else PORT
    back_ends = [_back_end(product, version, part, port) for version, part in routing.weights.parts.items()]
    rule = _rule(f"{_mark(product)}split", path, back_ends, [])
    if routing.mirror:
        if proof:
            shown = {"set": [{"name": GATEWAY_HEADER, "value": proof}]}
            rule["filters"].append({"type": "RequestHeaderModifier", "requestHeaderModifier": shown})
        copies: Object = {"backendRef": _reference(product, routing.mirror.version, COPIES_PORT)}
        if routing.mirror.parts < PARTS:
            copies["fraction"] = {"numerator": routing.mirror.parts, "denominator": PARTS}
        rule["filters"].append({"type": "RequestMirror", "requestMirror": copies})
    return rule


def _rule(name: str, path: str, back_ends: list[Object], headers: list[Object]) -> Object:
    match: Object = {"path": {"type": "PathPrefix", "value": path}}
    if headers:
        match["headers"] = headers
    filters = [{"type": "URLRewrite", "urlRewrite": _REWRITE}]
    return {"name": name, "matches": [match], "filters": filters, "backendRefs": back_ends}


def _reference(product: str, version: int, port: int) -> Object:
    return {"group": "", "kind": "Service", "name": object_name(product, version), "port": port}


def _back_end(product: str, version: int, weight: int = 1, port: int = PORT) -> Object:
    return {**_reference(product, version, port), "weight": weight}


def _exact(name: str, value: str) -> Object:
    return {"type": "Exact", "name": name, "value": value}


def _header_match(match: Match) -> Object:
    if match.header is not None:
        return _exact(match.header, match.value)
    value = f"{_BEFORE}{match.cookie}={_SPECIAL.sub(_ESCAPED, match.value)}{_AFTER}"
    return {"type": "RegularExpression", "name": "cookie", "value": value}


def _match_of(header: Object, version: int) -> Match:
    found = _COOKIE.fullmatch(header["value"]) if header.get("type") == "RegularExpression" else None
    if found is None:
        return Match(version, header["value"], header=header["name"])
    return Match(version, re.sub(r"\\(.)", r"\1", found["value"]), cookie=found["name"])


def _mirror_of(product: str, rule: Mapping[str, Any]) -> Mirror | None:
    for each in rule.get("filters") or []:
        if each.get("type") == "RequestMirror":
            mirror = each["requestMirror"]
            fraction = mirror.get("fraction") or {"numerator": mirror.get("percent", 100)}
            share = fraction["numerator"] / fraction.get("denominator", 100)
            return Mirror(_version(product, mirror["backendRef"]["name"]), round(share * 100, 2))
    return None


def _headers(rule: Mapping[str, Any]) -> list[Object]:
    return [header for match in rule.get("matches") or [] for header in match.get("headers") or []]


def _services(rule: Mapping[str, Any]) -> list[str]:
    return [each["name"] for each in _references(rule)]


def _references(rule: Mapping[str, Any]) -> list[Object]:
    """All that it leads to, copies included."""
    mirrors = [each["requestMirror"] for each in rule.get("filters") or [] if each.get("type") == "RequestMirror"]
    return [*(rule.get("backendRefs") or ()), *(mirror["backendRef"] for mirror in mirrors)]


def _is_within(wanted: object, found: object) -> bool:
    if isinstance(wanted, dict) and isinstance(found, dict):
        return all(name in found and _is_within(value, found[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_is_within, wanted, found))
    return wanted == found


def _versions(product: str, rule: Mapping[str, Any]) -> list[int]:
    return [_version(product, each["name"]) for each in rule["backendRefs"]]


def _version(product: str, name: str) -> int:
    found = _pattern(product).fullmatch(name)
    if found is None:
        raise ValueError(f"{name} is no Service of {product}")
    return int(found[1])


def _pattern(product: str) -> re.Pattern[str]:
    return re.compile(rf"model-{re.escape(product)}-v(\d+)")
