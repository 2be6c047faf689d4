"""Counters that are only remembered: for tests, examples and dry runs."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping

from deployments.analysis.counter_deltas import Heard, Mark, Reading, Source
from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Counts, Pairs, Sums
from deployments.analysis.user_metrics import Outcome
from deployments.clock import Clock, SystemClock
from deployments.errors import MetricsUnreachable, SeatrialError
from deployments.metrics.protocol import UNLIMITED, Ranges

_NOTHING: Mapping[str, int] = {}


def _nobody_counts(_product: str) -> Mapping[Source, Counts]:
    return {}


class InMemoryMetrics:
    """Counts what it is told (see `Metrics`), beside what `tallies` counts, such as an `InMemoryRouter`'s.

    Not for several threads.
    """

    def __init__(
        self, clock: Clock | None = None, tallies: Callable[[str], Mapping[Source, Counts]] = _nobody_counts
    ) -> None:
        self._clock = clock or SystemClock()
        self._tallies = tallies
        self._counts: dict[str, dict[tuple[int, bool, bool], Counts]] = {}
        self._values: dict[str, list[tuple[int, str, float]]] = {}
        self._pairs: dict[str, Pairs] = {}
        self._starts = 1
        self._outcomes: dict[str, list[Outcome]] = {}
        self._outage: str | None = None

    def serve(
        self,
        product: str,
        version: int,
        *,
        requests: int = 0,
        errors: int = 0,
        latency_ms: float | None = None,
        predictions: Mapping[str, int] = _NOTHING,
    ) -> None:
        """Users were answered: `requests` in all, `errors` of them with 5xx, each within `latency_ms`.

        None: nobody measured how long. Raises ValueError for more errors than requests, and for negative counts.
        """
        if not 0 <= errors <= requests or any(count < 0 for count in predictions.values()):
            raise ValueError(f"{errors} errors of {requests} requests cannot be: counts only rise")
        latency = () if latency_ms is None else _all_in_one_bucket(latency_ms, requests)
        self._add(product, version, Counts(requests, errors, latency, dict(predictions)))

    def meet(self, product: str, outcomes: Iterable[Outcome]) -> None:
        """Requests with a key came to their end; they are counted, too."""
        for outcome in outcomes:
            self._outcomes.setdefault(product, []).append(outcome)
            self._add(product, outcome.version, _counted_once(outcome), keyed=True)

    def lose(self, product: str, outcomes: Iterable[Outcome]) -> None:
        """Requests with a key were counted, but how they went got lost."""
        for outcome in outcomes:
            self._add(product, outcome.version, _counted_once(outcome), keyed=True)

    def mirror(self, product: str, version: int, copies: int, errors: int) -> None:
        """Copies were sent to a version, which failed to answer `errors` of them."""
        self._add(product, version, Counts(copies, errors), mirrored=True)

    def push(self, product: str, version: int, metric: str, values: Iterable[float]) -> None:
        """Users sent feedback."""
        self._values.setdefault(product, []).extend((version, metric, value) for value in values)

    def compare(self, product: str, pairs: Pairs) -> None:
        """Mirrored requests were answered by both versions."""
        self._pairs[product] = self._pairs.get(product, Pairs()) + pairs

    def fail(self, reason: str) -> None:
        """From now on nothing can be read; what is counted meanwhile is not lost."""
        self._outage = reason

    def recover(self) -> None:
        """The counters can be read again."""
        self._outage = None

    def restart(self) -> None:
        """Whoever counts begins again at zero, in a new epoch."""
        self._counts.clear()
        self._values.clear()
        self._pairs.clear()
        self._starts += 1

    def read(self, product: str, ranges: Ranges = UNLIMITED, *, paired: bool = True) -> Reading:
        """See `Metrics.read`."""
        if self._outage is not None:
            raise MetricsUnreachable(f"the counters of {product} cannot be read: {self._outage}")
        try:
            sources = dict(self._tallies(product))
        except SeatrialError as error:
            raise MetricsUnreachable(f"the counters of {product} cannot be read: {error}") from error
        epoch = f"memory {self._starts}"
        for (version, mirrored, keyed), counts in self._counts.get(product, {}).items():
            sources[Source(version, epoch, mirrored=mirrored, keyed=keyed)] = counts
        for version, metric, value in self._values.get(product, ()):
            low, high = ranges.get(metric, (value, value))
            taken = min(max(value, low), high)
            source = Source(version, epoch)
            said = Counts(feedback={metric: Sums(1, taken, taken * taken)})
            sources[source] = sources.get(source, Counts()) + said
        return Reading(self._clock.now(), sources, self._pairs.get(product, Pairs()), epoch)

    def heard(self, product: str, after: Mark | None) -> Heard:
        """See `Metrics.heard`."""
        if self._outage is not None:
            raise MetricsUnreachable(f"the users of {product} cannot be read: {self._outage}")
        known = self._outcomes.get(product, [])
        begin = len(known) if after is None else after.offset
        return Heard(Mark(offset=len(known)), tuple(known[begin:]))

    def _add(self, product: str, version: int, counts: Counts, *, mirrored: bool = False, keyed: bool = False) -> None:
        known = self._counts.setdefault(product, {})
        kind = version, mirrored, keyed
        known[kind] = known.get(kind, Counts()) + counts


def _counted_once(outcome: Outcome) -> Counts:
    if outcome.given_up is not None:
        return Counts(1, given_up=_in_bucket(outcome.given_up, 1))
    return Counts(1, int(outcome.failed), () if outcome.latency is None else _in_bucket(outcome.latency, 1))


def _all_in_one_bucket(latency_ms: float, requests: int) -> tuple[int, ...]:
    return _in_bucket(bisect_left(LATENCY_BOUNDS_MS, latency_ms), requests)


def _in_bucket(bucket: int, requests: int) -> tuple[int, ...]:
    return tuple(requests if index == bucket else 0 for index in range(len(LATENCY_BOUNDS_MS) + 1))
