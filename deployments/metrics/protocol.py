"""The door to the counters of a product."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Protocol

from deployments.analysis.counter_deltas import Heard, Mark, Reading

# By name of a feedback metric, the smallest and largest value that is taken.
Ranges = Mapping[str, tuple[float, float]]
UNLIMITED: Final[Ranges] = MappingProxyType({})


class Metrics(Protocol):
    """Reads the counters of a product's versions."""

    def read(self, product: str, ranges: Ranges = UNLIMITED, *, paired: bool = True) -> Reading:
        """All that is counted of `product` now; feedback outside its range counts as the nearer end of it.

        Unless `paired` the pairs may be missing: what is compared with one reading has to be read as that one was.

        Raises `MetricsUnreachable` when the counters cannot be read, for whatever reason: then nothing is known, which
        is not the same as nothing having happened.
        """
        ...

    def heard(self, product: str, after: Mark | None) -> Heard:
        """How the requests of users with a key went that came to their end `after`; None: only where that is now.

        Only those that chance sent to a version while the product's traffic was split. None ever where keys mean
        nothing: then no source of a reading is keyed. Raises `MetricsUnreachable` when it cannot be known now.
        """
        ...
