"""What the gateway has counted, from its own metrics page and counters."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deployments.analysis.evidence import Counts
from deployments.routers.envoy.clusters import product_and_version
from deployments.routers.envoy.listener import LATENCY_BOUNDS_US, MODEL_SCOPE
from deployments.routers.envoy.routes import match_name

_SAMPLE = re.compile(
    rf"^envoy_{MODEL_SCOPE}_(?P<what>requests|latency_bucket)\{{(?P<labels>[^}}]*)\}} (?P<count>\d+)$", re.MULTILINE
)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_COPIES = re.compile(r"cluster\.(?P<cluster>[^.]+)_mirror\.upstream_rq_(?P<what>completed|5xx|pending_overflow)")
_CLIENT_GONE = 0


@dataclass(frozen=True, slots=True)
class _Sample:
    """`count` answers of `version` with HTTP `code`; `within` is the latency bucket's bound in µs, None for all."""

    version: int
    code: int
    within: float | None
    count: int


def counted(page: str, product: str) -> Mapping[int, Counts]:
    """By version: answers through the split and the matches of `product`, since the gateway started.

    `page` is in the Prometheus text format. Requests whose client went away before an answer are not counted.
    """
    samples = tuple(each for each in _samples(page, product) if each.code != _CLIENT_GONE)
    return {version: _counts(samples, version) for version in sorted({each.version for each in samples})}


def copied(counters: Mapping[str, int], product: str) -> Mapping[int, Counts]:
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
    for found in _SAMPLE.finditer(page):
        labels = dict(_LABEL.findall(found["labels"]))
        owner = product_and_version(labels.get("version", ""))
        if labels.get("product") not in (product, match_name(product)) or owner is None or owner[0] != product:
            continue
        within = float(labels["le"]) if found["what"] == "latency_bucket" else None
        yield _Sample(owner[1], int(labels["code"]), within, int(found["count"]))


def _counts(samples: tuple[_Sample, ...], version: int) -> Counts:
    answered = [each for each in samples if each.version == version and each.within is None]
    return Counts(
        requests=sum(each.count for each in answered),
        errors=sum(each.count for each in answered if each.code >= 500),
        latency=_latency([each for each in samples if each.version == version and each.within is not None]),
    )


def _latency(samples: list[_Sample]) -> tuple[int, ...]:
    """Prometheus counts what lies at or below each bound; the differences are the buckets."""
    if not samples:
        return ()
    bounds = (*LATENCY_BOUNDS_US, float("inf"))
    below = [sum(each.count for each in samples if each.within == bound) for bound in bounds]
    return tuple(now - before for before, now in zip([0, *below], below, strict=False))
