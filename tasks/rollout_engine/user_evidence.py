"""Users instead of requests: what a block counts where a sticky key keeps people with one version."""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from deployments.analysis.counter_deltas import Mark, Reading
from deployments.analysis.evidence import Block, Counts
from deployments.analysis.user_metrics import Stretches
from deployments.errors import TryAgain
from deployments.rollout.state import RolloutState
from deployments.wiring import Doors

# A line is written within half a second of its request's end; a slow disk has a few more.
_WRITTEN_WITHIN_SECONDS: Final = 5.0
# So much of what was counted may be without a line; a gateway that was killed takes half a second along.
_MISSING: Final = 0.02
_FEW: Final = 20
_NOTHING: Final = Counts()


@dataclass(slots=True)
class KnownUsers:
    """The users of one split, from its beginning on; another split has others.

    Counters say how many requests with a key there were, and the log how each went. Where lines are missing nobody
    knows whose they were: all users of the stretch are forgotten, and a new one begins. `lost` says so until one is
    heard again.
    """

    stretches: Stretches = field(default_factory=Stretches)
    mark: Mark | None = None
    told: int = 0
    counted: int = 0
    lost: str = ""
    earlier: deque[tuple[float, int]] = field(default_factory=deque)

    def begin(self, state: RolloutState, reading: Reading, doors: Doors) -> None:
        """Whoever comes after `reading` is new; where nothing is known of users now, whoever comes once it is."""
        self.stretches, self.lost = Stretches(state.section.analysis.given_up), ""
        mark = None
        with suppress(TryAgain):
            mark = doors.metrics.heard(state.product, None).mark
        self._forget(mark, reading, doors)

    def complete(self, block: Block, state: RolloutState, readings: tuple[Reading, Reading], doors: Doors) -> "Told":
        """`block`, which lies between the two readings, with the units that it counts, if its split is one by chance.

        Where users cannot be known it is not trusted, and judged by its requests: doubt stops no rollback. But many
        requests may be one user's, so that they prove nothing for the candidate, nor that the split is wrong, and harm
        only beyond what one user may have met.
        """
        before, now = readings
        keyless = now.without_users().since(before.without_users())
        unknown = block.candidate.requests - keyless.get(state.candidate, _NOTHING).requests
        if block.share is None or state.former is None:
            return Told(block)
        try:
            heard = doors.metrics.heard(state.product, self.mark)
        except TryAgain as error:
            self.mark = None
            return _untold(block, unknown, f"nothing is known of users, so requests are compared: {error}")
        begun, self.mark = self.mark is not None, heard.mark
        self.told += len(heard.outcomes)
        self.counted += _requests(now.since(before)) - _requests(keyless)
        if not begun:
            self._forget(heard.mark, now, doors)
            return _untold(
                block, unknown, "users are known again from now on; what they did meanwhile is compared by requests"
            )
        if not heard.whole or self._missing(doors.clock.monotonic()):
            self._forget(heard.mark, now, doors)
            self.lost = "the gateway's log of users has gaps, so requests are compared: is its disk full?"
            return _untold(block, unknown, self.lost)
        self.stretches.add(heard.outcomes, now.at)
        users = self.stretches.block(now.at)
        if users is None:
            return _untold(block, unknown, self.lost) if self.counted else Told(block)
        self.lost = ""
        return Told(users.completes(block, state.former, state.candidate, keyless))

    def _forget(self, mark: Mark | None, reading: Reading, doors: Doors) -> None:
        self.mark, self.told, self.counted = mark, 0, 0
        self.earlier = deque([(doors.clock.monotonic(), 0)])
        self.stretches.begin(reading.at)

    def _missing(self, now: float) -> bool:
        """Whether too few lines came of what had been counted some seconds ago."""
        self.earlier.append((now, self.counted))
        while len(self.earlier) > 1 and now - self.earlier[1][0] >= _WRITTEN_WITHIN_SECONDS:
            self.earlier.popleft()
        at, counted = self.earlier[0]
        due = counted if now - at >= _WRITTEN_WITHIN_SECONDS else 0
        return due - self.told > max(_FEW, _MISSING * due)


@dataclass(frozen=True, slots=True)
class Told:
    """A block, and why nothing may be promoted by it; empty: it may."""

    block: Block
    trouble: str = ""


def _untold(block: Block, unknown: int, why: str) -> Told:
    return Told(replace(block, trusted=False, unknown=max(0, unknown)), why)


def _requests(counts: Mapping[int, Counts]) -> int:
    return sum(each.requests for each in counts.values())
