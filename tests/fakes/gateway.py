"""A gateway for tests, in plain Python: it sends requests by the HTTPRoutes of a fake cluster, as Gateway API v1 says.

It knows nothing of Seatrial, and keeps no connections: one call is one request."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.fakes.kubernetes import FakeKubernetes

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Hop:
    """Where a request goes: a Service, a port of it, and the path that arrives there; `copies` go to others."""

    service: str
    port: int
    path: str
    copies: tuple[tuple[str, int], ...] = ()


class FakeGateway:
    """Requests of one Gateway; `seed` decides where chance sends them."""

    def __init__(self, api: FakeKubernetes, seed: int = 7) -> None:
        self._api = api
        self._random = random.Random(seed)

    def send(self, path: str, headers: Mapping[str, str]) -> Hop | None:
        """Where a request goes, header names in lower case; None: no rule takes it, which is a 404."""
        found = self._rule(path, headers)
        if found is None:
            return None
        rule, match = found
        weights = [each.get("weight", 1) for each in rule["backendRefs"]]
        [backend] = self._random.choices(rule["backendRefs"], weights)
        return Hop(backend["name"], backend["port"], _rewritten(rule, match, path), tuple(self._copies(rule)))

    def shares(self, path: str, headers: Mapping[str, str]) -> tuple[Mapping[str, int], Mapping[str, float]]:
        """Weights by Service for such a request, and the fractions that are copied; both empty for a 404."""
        found = self._rule(path, headers)
        if found is None:
            return {}, {}
        rule, _ = found
        copied = {each["backendRef"]["name"]: _fraction(each) for each in _mirrors(rule)}
        return {each["name"]: each.get("weight", 1) for each in rule["backendRefs"]}, copied

    def _rule(self, path: str, headers: Mapping[str, str]) -> tuple[Json, Json] | None:
        """The rule that takes a request, and its match: the longer path first, then more headers, then the former."""
        fitting = [found for found in self._rules() if _fits(found[1], path, headers)]
        return max(
            fitting, key=lambda found: (len(_prefix(found[1])), len(found[1].get("headers") or ())), default=None
        )

    def _rules(self) -> Iterator[tuple[Json, Json]]:
        """Every rule with each of its matches; a route that is not accepted has none."""
        for route in self._api.objects("HTTPRoute"):
            if _accepted(route):
                for rule in route["spec"].get("rules") or []:
                    for match in rule.get("matches") or [{"path": {"type": "PathPrefix", "value": "/"}}]:
                        yield rule, match

    def _copies(self, rule: Json) -> Iterator[tuple[str, int]]:
        for mirror in _mirrors(rule):
            if self._random.random() < _fraction(mirror):
                yield mirror["backendRef"]["name"], mirror["backendRef"]["port"]


def _accepted(route: Json) -> bool:
    parents = (route.get("status") or {}).get("parents") or []
    return any(each["type"] == "Accepted" and each["status"] == "True" for one in parents for each in one["conditions"])


def _mirrors(rule: Json) -> list[Json]:
    return [each["requestMirror"] for each in rule.get("filters") or [] if each["type"] == "RequestMirror"]


def _fraction(mirror: Json) -> float:
    if "fraction" in mirror:
        return float(mirror["fraction"]["numerator"] / mirror["fraction"].get("denominator", 100))
    return float(mirror.get("percent", 100) / 100)


def _prefix(match: Json) -> str:
    return str(match["path"]["value"])


def _fits(match: Json, path: str, headers: Mapping[str, str]) -> bool:
    value = _prefix(match)
    if match["path"]["type"] == "Exact":
        there = path == value
    else:
        there = path == value.rstrip("/") or path.startswith(f"{value.rstrip('/')}/")
    return there and all(_has(each, headers) for each in match.get("headers") or [])


def _has(wanted: Json, headers: Mapping[str, str]) -> bool:
    value = headers.get(wanted["name"].lower())
    if value is None:
        return False
    if wanted.get("type", "Exact") == "RegularExpression":
        return re.fullmatch(wanted["value"], value) is not None
    return bool(value == wanted["value"])


def _rewritten(rule: Json, match: Json, path: str) -> str:
    for each in rule.get("filters") or []:
        if each["type"] == "URLRewrite" and each["urlRewrite"]["path"]["type"] == "ReplacePrefixMatch":
            rest = path.removeprefix(_prefix(match).rstrip("/")).lstrip("/")
            return f"{each['urlRewrite']['path']['replacePrefixMatch'].rstrip('/')}/{rest}"
    return path
