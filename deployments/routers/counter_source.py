"""Who counts what versions answer, where the gateway's own counters cannot be read."""

from collections.abc import Mapping
from typing import Protocol

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts


class Counters(Protocol):
    """See the methods of the same names in `Router`."""

    def in_flight(self, product: str, version: int) -> int:
        """Requests that this version is answering right now."""
        ...

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """What each version answered to users."""
        ...

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """What became of mirrored copies."""
        ...


class CountedElsewhere:
    """The part of `Router` that `counters` answer. They raise errors of their own, `TryAgain` where that helps."""

    # Unless each request is split on its own.
    shortfall: float | None = None

    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def in_flight(self, product: str, version: int) -> int:
        """See `Router`."""
        return self._counters.in_flight(product, version)

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router`; counted where answers are made, so that those of a gateway itself are not in it."""
        return self._counters.tallies(product)

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router`."""
        return self._counters.copies(product)
