"""What a Prometheus has seen pods count, where it scrapes them: for clusters in which we may not ask pods ourselves.

Only raw counters are asked for, of every pod on its own: `rate()` and `increase()` guess what lies between two scrapes,
and a sum over pods hides that one of them began again at zero.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Final

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts
from deployments.clock import Clock, SystemClock
from deployments.errors import MetricsUnreachable
from deployments.metrics.prometheus_api import Prometheus, Sample

# Where a Prometheus looks back further, for want of anything newer, it is not followed.
_OLDEST_SECONDS: Final = 300.0
_POLL: Final = timedelta(seconds=1)

_REQUESTS: Final = "seatrial_server_requests_total"
_BUCKETS: Final = "seatrial_server_request_seconds_bucket"
_GIVEN_UP: Final = "seatrial_server_given_up_seconds_bucket"
_PREDICTIONS: Final = "seatrial_server_predicted_total"
_IN_FLIGHT: Final = "seatrial_server_in_flight"
_LOADING: Final = "seatrial_server_load_seconds"
_START: Final = "process_start_time_seconds"
_NAMES: Final = f"{_REQUESTS}|{_BUCKETS}|{_GIVEN_UP}|{_PREDICTIONS}|{_IN_FLIGHT}|{_LOADING}|{_START}"
# Labels that the servers themselves write; all others say which server it is.
_OWN_LABELS: Final = frozenset({"__name__", "code", "mirrored", "le", "predicted"})
_CLIENT_GONE: Final = "499"
_SERVER_DIED: Final = "502"
_BOUNDS: Final = (*(bound / 1000 for bound in LATENCY_BOUNDS_MS), math.inf)


@dataclass(frozen=True, slots=True)
class TargetLabels:
    """Names of the labels that say whose a series is, as a PodMonitor with `podTargetLabels` writes them."""

    product: str = "seatrial_dev_product"
    version: str = "seatrial_dev_version"
    pod: str = "pod"
    namespace: str = "namespace"


class PrometheusCounters:
    """Counts of the pods that the Prometheus at `url` scrapes, each start of a server a source of its own.

    Every method waits until all of them have been scraped once more: what was counted before the traffic was shifted
    must not be told after it. `lag` is how long that takes at most, as well as until a server that has begun is scraped
    for the first time: half a minute more than the scrape interval will do. A pod that was not scraped for five minutes
    is left out. Only pods of `namespace` count, unless that is None; a Prometheus may see others of the same product.

    Every method raises `MetricsUnreachable` when Prometheus does not answer, not with all that it was asked for, or
    with series that do not say whose they are.
    """

    def __init__(
        self,
        url: str,
        labels: TargetLabels | None = None,
        namespace: str | None = None,
        lag: timedelta = timedelta(minutes=1),
        clock: Clock | None = None,
    ) -> None:
        self._prometheus = Prometheus(url)
        self._labels, self._namespace, self._lag = labels or TargetLabels(), namespace, lag
        self._clock = clock or SystemClock()

    def in_flight(self, product: str, version: int) -> int:
        """Requests, and copies, that this version was answering when its pods were last scraped."""
        return sum(round(each.value(_IN_FLIGHT)) for each in self._targets(product) if self._version(each) == version)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """What each pod had answered to users, and what they did not wait for."""
        return {self._source(each): each.counts("false") for each in self._targets(product)}

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """What each pod had made of mirrored copies."""
        return {self._source(each, mirrored=True): each.counts("true") for each in self._targets(product)}

    def counts(self, product: str) -> Mapping[Source, Counts]:
        """Tallies, copies and predictions at once."""
        found: dict[Source, Counts] = {}
        for each in self._targets(product):
            found[self._source(each)] = replace(each.counts("false"), predictions=each.predictions())
            found[self._source(each, mirrored=True)] = each.counts("true")
        return found

    def _targets(self, product: str) -> Sequence["_Target"]:
        """One for each pod: should several jobs scrape it, the one that did last."""
        condition = f"{self._labels.product}={json.dumps(product)}"
        if self._namespace is not None:
            # Series that do not say it are asked for, too, so that they can be told of.
            condition += f",{self._labels.namespace}=~{json.dumps(f'{self._namespace}|')}"
        scrapes = self._scrapes(f"timestamp({_START}{{{condition}}})")
        samples = self._prometheus.instant(f'{{__name__=~"{_NAMES}",{condition}}}')
        by_time = sorted(scrapes, key=lambda each: each.value)
        targets = {_target(each): _Target(each.labels) for each in by_time}
        for sample in samples:
            if (target := targets.get(_target(sample))) is not None:
                target.samples.append(sample)
        began = [target for target in targets.values() if target.value(_START)]
        if self._namespace is not None:
            for target in began:
                self._label(target, self._labels.namespace)
        return tuple({self._label(target, self._labels.pod): target for target in began}.values())

    def _scrapes(self, query: str) -> Sequence[Sample]:
        """When each target was scraped last; all of them since this was called, if that happens within `lag`."""
        limit = self._clock.monotonic() + self._lag.total_seconds()
        scrapes = self._lately(query)
        called = max((each.at for each in scrapes), default=0.0)
        while any(each.value < called for each in scrapes) and self._clock.monotonic() < limit:
            self._clock.sleep(_POLL)
            scrapes = self._lately(query)
        return scrapes

    def _lately(self, query: str) -> Sequence[Sample]:
        return [each for each in self._prometheus.instant(query) if each.at - each.value < _OLDEST_SECONDS]

    def _source(self, target: "_Target", mirrored: bool = False) -> Source:
        """It is said to begin when Prometheus must have known of it: any reading without it from then on missed it."""
        start = target.value(_START)
        known = datetime.fromtimestamp(start + target.value(_LOADING), UTC) + self._lag
        epoch = f"pod {self._label(target, self._labels.pod)} since {start:.2f}"
        return Source(self._version(target), epoch, known, mirrored)

    def _version(self, target: "_Target") -> int:
        text = self._label(target, self._labels.version)
        if not text.isdecimal():
            raise MetricsUnreachable(
                f"Prometheus at {self._prometheus.address}: label {self._labels.version} is {text!r}, "
                "which is no version of a model"
            )
        return int(text)

    def _label(self, target: "_Target", name: str) -> str:
        if not target.labels.get(name):
            raise MetricsUnreachable(
                f"Prometheus at {self._prometheus.address} has series of model servers without the label {name}, "
                f"only {', '.join(sorted(target.labels))}: have it added where they are scraped"
            )
        return target.labels[name]


@dataclass(slots=True)
class _Target:
    """What one job has scraped of one server last."""

    labels: Mapping[str, str]
    samples: list[Sample] = field(default_factory=list)

    def value(self, name: str) -> float:
        return next((each.value for each in self.samples if each.name == name), 0.0)

    def counts(self, mirrored: str) -> Counts:
        answered = {
            each.labels.get("code", ""): round(each.value)
            for each in self._of(_REQUESTS, mirrored)
            if each.labels.get("code") != _CLIENT_GONE
        }
        errors = sum(count for code, count in answered.items() if code.startswith("5"))
        latency, given_up = self._buckets(_BUCKETS, mirrored), self._buckets(_GIVEN_UP, mirrored)
        # One that is slower than every bound has a bucket before it has a code; one that a server took along has none.
        lost = answered.get(_SERVER_DIED, 0)
        requests = max(sum(answered.values()) - lost, sum(latency)) + lost + sum(given_up)
        return Counts(requests, errors, latency, given_up=given_up if any(given_up) else ())

    def predictions(self) -> Mapping[str, float]:
        found = (each for each in self.samples if each.name == _PREDICTIONS)
        return {each.labels.get("predicted", ""): each.value for each in found}

    def _buckets(self, name: str, mirrored: str) -> tuple[int, ...]:
        """None for a server that does not count this, or by other bounds. Prometheus counts what lies at or below."""
        below = {float(each.labels["le"]): round(each.value) for each in self._of(name, mirrored)}
        if not below.keys() >= set(_BOUNDS):
            return ()
        return tuple(late - early for early, late in pairwise([0, *(below[bound] for bound in _BOUNDS)]))

    def _of(self, name: str, mirrored: str) -> Iterator[Sample]:
        return (each for each in self.samples if each.name == name and each.labels.get("mirrored") == mirrored)


def _target(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset(item for item in sample.labels.items() if item[0] not in _OWN_LABELS)
