"""The door to the counters of a product."""

from typing import Protocol

from deployments.analysis.readings import Reading


class Metrics(Protocol):
    """Reads the counters of a product's versions."""

    def read(self, product: str) -> Reading:
        """All that is counted of `product` now.

        Raises `MetricsUnreachable` when the counters cannot be read: then nothing is known, which is not the same as
        nothing having happened.
        """
        ...
