"""What a user's Gateway has counted of each version, its own answers included, as a Prometheus has scraped it.

Every Gateway counts under names of its own, so that the spec says by which queries: selectors of raw counters, series
by series, never `rate()` or `sum()`. See docs/kubernetes.md for those of common ones.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from string import Template
from typing import Final

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.clock import Clock
from deployments.cluster import object_name
from deployments.metrics.prometheus_api import Prometheus, Sample
from deployments.spec import GatewayMetricsSection

_LAG: Final = timedelta(minutes=1)
_POLL: Final = timedelta(seconds=1)
Versions = Callable[[str], Sequence[int]]
Part = Callable[[str], Mapping[Source, Counts]]


class GatewayCounts:
    """Requests and errors of users by the `section`'s queries, beside all else that `servers` count.

    `servers` are asked first, and stay the ones who count latencies, predictions, copies, and clients that gave up.
    `versions` tells which there are of a product. Each call waits until the Gateway was scraped once more, at most for
    `lag`: what was counted before the traffic was shifted must not be told after it.
    """

    def __init__(
        self,
        prometheus: Prometheus,
        section: GatewayMetricsSection,
        namespace: str,
        servers: Part,
        versions: Versions,
        clock: Clock,
    ) -> None:
        self._prometheus, self._section, self._namespace = prometheus, section, namespace
        self._servers, self._versions, self._clock = servers, versions, clock

    def counts(self, product: str) -> Mapping[Source, Counts]:
        """Raises what `servers` and `versions` raise, and `MetricsUnreachable` as `Prometheus.instant` does."""
        found = {source: _without_answers(source, counts) for source, counts in self._servers(product).items()}
        for version in self._versions(product):
            requests, errors = (
                self._query(text, product, version) for text in (self._section.requests, self._section.errors)
            )
            self._await_scrape(requests)
            for sample in self._prometheus.instant(requests):
                found[_source(version, "requests", sample)] = Counts(requests=round(sample.value))
            for sample in self._prometheus.instant(errors):
                found[_source(version, "errors", sample)] = Counts(errors=round(sample.value))
        return found

    def _query(self, text: str, product: str, version: int) -> str:
        service = object_name(product, version)
        names = {"product": product, "version": version, "service": service, "namespace": self._namespace}
        return Template(text).safe_substitute(names)

    def _await_scrape(self, query: str) -> None:
        limit = self._clock.monotonic() + _LAG.total_seconds()
        scrapes = self._prometheus.instant(f"timestamp({query})")
        called = max((each.at for each in scrapes), default=0.0)
        while any(each.value < called for each in scrapes) and self._clock.monotonic() < limit:
            self._clock.sleep(_POLL)
            scrapes = self._prometheus.instant(f"timestamp({query})")


def _without_answers(source: Source, counts: Counts) -> Counts:
    """What a server counts and a Gateway does not: a request that its client gave up has no answer to be counted by."""
    return counts if source.mirrored else replace(counts, requests=sum(counts.given_up), errors=0)


def _source(version: int, what: str, sample: Sample) -> Source:
    labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
    return Source(version, f"gateway {what} {labels}")
