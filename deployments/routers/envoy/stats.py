"""What the gateway has counted, from its own metrics page and counters."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from deployments.analysis.evidence import Counts
from deployments.routers.envoy.access_log import (
    AGE_BOUNDS_MS,
    LATENCY_BOUNDS_US,
    MODEL_SCOPE,
    is_failed,
    is_given_up,
)
from deployments.routers.envoy.clusters import product_and_version
from deployments.routers.envoy.route_config import key_name, match_name

_KINDS = "requests|resets|latency_bucket|age_bucket"
_SAMPLE = re.compile(rf"^envoy_{MODEL_SCOPE}_(?P<what>{_KINDS})\{{(?P<labels>[^}}]*)\}} (?P<count>\d+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
# A gateway that an earlier version of Seatrial started tells neither flags nor attempts until it is started anew.
_UNFLAGGED = "-"
_COPIES = re.compile(r"cluster\.(?P<cluster>[^.]+)_mirror\.upstream_rq_(?P<what>completed|5xx|pending_overflow)")


@dataclass(frozen=True, slots=True)
class _Sample:
    """`count` requests (or broken attempts) of `version`, with the labels that Envoy gave them."""

    what: str
    version: int
    with_key: bool
    labels: Mapping[str, str]
    count: int

    @property
    def is_given_up(self) -> bool:
        return is_given_up(self.labels.get("flags", _UNFLAGGED if self.labels["code"] != "0" else "DC"))

    @property
    def is_failed(self) -> bool:
        return is_failed(int(self.labels["code"]), self.labels.get("flags", _UNFLAGGED))

    @property
    def attempts(self) -> int:
        """How often a server was asked; 0: none ever was."""
        return int(self.labels.get("attempts", 1))


def counts_by_version(page: str, product: str) -> Mapping[tuple[int, bool], Counts]:
    """By version, and by whether they carried the product's key: requests through its split and its matches.

    `page` is in the Prometheus text format, and counts since the gateway started. A request that was well answered in
    a later attempt is an error if an attempt before broke off while it was answered; one whose connection was only
    refused is not. Requests that were given up count once their age is known, half a second later; those that no
    server had been asked never do.
    """
    found: dict[tuple[int, bool], list[_Sample]] = {}
    for sample in _samples(page, product):
        found.setdefault((sample.version, sample.with_key), []).append(sample)
    counts = {arm: _counts(found[arm]) for arm in sorted(found)}
    return {arm: each for arm, each in counts.items() if each.requests}


def mirrored_by_version(counters: Mapping[str, int], product: str) -> Mapping[int, Counts]:
    """By version: mirrored copies of `product` that came to an end, since the gateway started.

    `counters` are Envoy's, by name. It answers a copy that is one too many with a 503 of its own: not the version's.
    """
    found: dict[int, dict[str, int]] = {}
    for name, count in counters.items():
        counter = _COPIES.fullmatch(name)
        owner = product_and_version(counter["cluster"]) if counter else None
        if counter and owner and owner[0] == product:
            found.setdefault(owner[1], {})[counter["what"]] = count
    return {version: _copies(**counts) for version, counts in sorted(found.items())}


def _copies(completed: int = 0, pending_overflow: int = 0, **by_class: int) -> Counts:
    return Counts(completed - pending_overflow, max(0, by_class.get("5xx", 0) - pending_overflow))


def _samples(page: str, product: str) -> Iterator[_Sample]:
    routes = (product, key_name(product), match_name(product))
    for found in _SAMPLE.finditer(page):
        labels = dict(_LABEL.findall(found["labels"]))
        owner, route = product_and_version(labels.get("version", "")), labels.get("product")
        if route in routes and owner is not None and owner[0] == product:
            yield _Sample(found["what"], owner[1], route == key_name(product), labels, int(found["count"]))


def _counts(samples: list[_Sample]) -> Counts:
    ended = [each for each in samples if each.what == "requests" and not each.is_given_up]
    given_up = _buckets([each for each in samples if each.what == "age_bucket" and each.attempts], AGE_BOUNDS_MS)
    return Counts(
        requests=sum(each.count for each in ended) + sum(given_up),
        errors=sum(each.count for each in ended if each.is_failed) + _saved(samples, ended),
        latency=_buckets([each for each in samples if each.what == "latency_bucket"], LATENCY_BOUNDS_US),
        given_up=given_up,
    )


def _saved(samples: list[_Sample], ended: list[_Sample]) -> int:
    """Requests that another attempt answered well after one had broken off. Both numbers hold them, and some more."""
    again = sum(each.count for each in ended if each.attempts > 1 and not each.is_failed)
    return min(again, sum(each.count for each in samples if each.what == "resets"))


def _buckets(samples: list[_Sample], bounds: Sequence[float]) -> tuple[int, ...]:
    """Prometheus counts what lies at or below each bound; the differences are the buckets."""
    below = [0] * (len(bounds) + 1)
    for each in samples:
        below[_place(float(each.labels["le"]), bounds)] += each.count
    return tuple(now - before for before, now in zip([0, *below], below, strict=False)) if any(below) else ()


def _place(bound: float, bounds: Sequence[float]) -> int:
    return bounds.index(bound) if bound != float("inf") else len(bounds)
