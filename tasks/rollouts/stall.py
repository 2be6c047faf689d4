"""Requests that wait for a candidate that answers nothing: users who do not give up are counted by nobody yet."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block

# Much longer than the champion's answers take, and half of what a gateway lets a request wait.
LONGEST: Final = timedelta(seconds=30)
# Of fewer the gateway's time-out tells, a minute after they came: one alone may be anything.
FEWEST: Final = 5
_SLOW: Final = 0.01
_KNOWN: Final = 100


@dataclass(slots=True)
class Waiting:
    """Since when enough requests wait for the candidate at every look, and what the champion answered meanwhile."""

    since: float | None = None
    fewest: int = 0
    champions: int = 0

    def look(self, now: float, waiting: int, champions: int) -> None:
        """None came to an end since the look before but the champion's `champions`; `waiting` are in flight now."""
        if waiting < FEWEST:
            self.forget()
        elif self.since is None:
            self.since, self.fewest, self.champions = now, waiting, 0
        else:
            self.fewest, self.champions = min(self.fewest, waiting), self.champions + champions

    def forget(self) -> None:
        """Some came to an end, or nothing is known of now."""
        self.since = None

    def lasts(self, now: float, blocks: Iterable[Block], *, alone: bool) -> timedelta | None:
        """How long nothing has been answered, once that is too long; None while it is not.

        The champion must have answered meanwhile, unless the candidate is `alone`, and be known to answer at once: a
        model that takes long is no harm where the other one does, too.
        """
        if self.since is None or now - self.since < LONGEST.total_seconds() or not (alone or self.champions):
            return None
        latency = [block.stable.latency for block in blocks if block.stable.latency]
        total, slow = sum(map(sum, latency)), sum(each[len(LATENCY_BOUNDS_MS)] for each in latency)
        return timedelta(seconds=now - self.since) if total >= _KNOWN and slow <= _SLOW * total else None
