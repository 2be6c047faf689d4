"""The counters of the embedded platform, or of a cluster, put together from those who count."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from deployments.analysis.counter_deltas import Heard, Mark, Reading, Source
from deployments.analysis.evidence import Counts
from deployments.clock import Clock
from deployments.errors import MetricsUnreachable, SeatrialError
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.metrics.model_servers import ServerCounts, Servers
from deployments.metrics.paired_predictions import PairJoiner
from deployments.metrics.pods import PodCounters
from deployments.metrics.protocol import UNLIMITED, Ranges
from deployments.metrics.user_predictions import KeyedPredictions

# Product to what somebody has counted of it; may raise any `SeatrialError`.
Part = Callable[[str], Mapping[Source, Counts]]
Pushed = Callable[[str, Ranges], Mapping[Source, Counts]]


def _nothing_pushed(_product: str, _ranges: Ranges) -> Mapping[Source, Counts]:
    return {}


class Users(Protocol):
    """The log of users with a key."""

    def end(self) -> Mark:
        """What is written from now on comes after this."""
        ...

    def after(self, product: str, mark: Mark) -> Heard:
        """How the requests of the product's users went that were written after `mark`."""
        ...

    def trim(self, clock: Clock) -> None:
        """Keep it small."""
        ...


class LiveMetrics:
    """The contract of `Metrics` over `parts` and feedback.

    Over `pairs` of predictions, too, and over a log of `users` with what was predicted for them, unless these are None.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        pairs: PairJoiner | None,
        clock: Clock,
        pushed: Pushed = _nothing_pushed,
        users: tuple[Users, KeyedPredictions] | None = None,
    ) -> None:
        self._parts, self._pairs, self._clock, self._pushed = tuple(parts), pairs, clock, pushed
        self._users = users

    def read(self, product: str, ranges: Ranges = UNLIMITED, *, paired: bool = True) -> Reading:
        """See `Metrics.read`. One part that fails makes the whole reading fail: half of the truth is not judged by.

        What is kept in the database of feedback is no part in this sense. What users were answered is known without
        it, and says enough to take a candidate back; `missing` then says that it does not say enough to go on.
        """
        at = self._clock.now()
        sources: dict[Source, Counts] = {}
        try:
            for part in self._parts:
                _add(part(product), sources)
        except MetricsUnreachable:
            raise
        except SeatrialError as error:
            raise MetricsUnreachable(f"the counters of {product} cannot be read: {error}") from error
        try:
            _add(self._pushed(product, ranges), sources)
            if self._pairs is None or not paired:
                return Reading(at, sources)
            pairs, epoch = self._pairs.look(product)
            return Reading(at, sources, pairs, epoch)
        except SeatrialError as error:
            return Reading(at, sources, missing=f"the feedback on {product} cannot be read: {error}")

    def heard(self, product: str, after: Mark | None) -> Heard:
        """See `Metrics.heard`. Keeps the log small, too: whoever reads it is there to do so."""
        if self._users is None:
            return Heard(Mark())
        log, predictions = self._users
        try:
            if after is None:
                heard = Heard(log.end())
                predictions.begin(product)
            else:
                heard = predictions.complete(product, log.after(product, after))
        except (SeatrialError, OSError) as error:
            raise MetricsUnreachable(f"the users of {product} cannot be read: {error}") from error
        # What was heard is true all the same; whoever keeps the platform says what is amiss, and tries again.
        with suppress(SeatrialError, OSError):
            log.trim(self._clock)
        return heard


def _add(told: Mapping[Source, Counts], sources: dict[Source, Counts]) -> None:
    for source, counts in told.items():
        sources[source] = sources.get(source, Counts()) + counts


def live_metrics(
    gateway: Sequence[Part], servers: Servers, feedback: FeedbackLedger, clock: Clock, users: Users | None = None
) -> LiveMetrics:
    """All that the embedded platform counts.

    Parts of the `gateway` and its log of `users`, predictions of `servers`, pushed `feedback`.
    """
    parts = (*gateway, ServerCounts(servers).counts)
    keyed = None if users is None else (users, KeyedPredictions(servers))
    return LiveMetrics(parts, PairJoiner(servers, feedback.labels), clock, feedback.counts, keyed)


def cluster_metrics(counts: Part, pods: PodCounters, feedback: FeedbackLedger, clock: Clock) -> LiveMetrics:
    """All that a cluster counts: `counts` of the servers, pairs of predictions that `pods` tell, pushed `feedback`."""
    pairs = PairJoiner(pods.servers, feedback.labels, ask=pods.ask)
    return LiveMetrics((counts,), pairs, clock, feedback.counts)
