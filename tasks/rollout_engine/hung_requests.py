"""Requests that a candidate answers nothing to: users who do not give up are counted by nobody yet, others left."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block
from deployments.analysis.response_shortfall import is_rare

# Much longer than the champion's answers take, and half of what a gateway lets a request wait.
LONGEST: Final = timedelta(seconds=30)
# Of fewer the gateway's time-out tells, a minute after they came: one alone may be anything.
FEWEST: Final = 5
# Of servers that are not ready: those that begin anew may take half a minute, and users must be elsewhere within one.
NOT_READY: Final = timedelta(seconds=45)
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


@dataclass(slots=True)
class Silence:
    """Since when the candidate has answered nobody, of whom `left` gave up, while the champion answered `champions`.

    Where a gateway leads nobody to servers that are not ready, no more of them come, and it still lasts. So it does
    where a server hangs so that it cannot even tell who left.
    """

    since: float | None = None
    left: int = 0
    champions: int = 0

    def look(self, now: float, block: Block | None) -> None:
        """`block` is what was counted since the look before; None: nothing that can be trusted."""
        if block is None or block.candidate.requests > (left := sum(block.candidate.given_up)):
            self.since, self.left, self.champions = None, 0, 0
            return
        if self.since is None and (left or block.stable.requests):
            self.since = now - (block.end - block.start).total_seconds()
        self.left, self.champions = self.left + left, self.champions + block.stable.requests

    def lasts(self, now: float, share: float | None, tolerance: float) -> bool:
        """Whether it has lasted for too long, and users got nothing in it.

        It is known that they did where enough of them gave up, or where chance cannot have sent all to the champion:
        `share` is the candidate's (0-1), None where it is not by chance; `tolerance`: see `shortfall_check.Split`.
        """
        if self.since is None or now - self.since < NOT_READY.total_seconds():
            return False
        if share is None:
            return self.left >= FEWEST
        alone = share >= 1
        enough = self.left >= FEWEST and (alone or self.champions > 0)
        return enough or (not alone and is_rare(0, self.champions, share, tolerance))
