"""How a rollout went, in few enough stretches to be drawn: read once, and then only what came since."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from deployments.analysis.evidence import Block, Counts, Weighing
from deployments.journals.protocol import Journal
from deployments.rollout.state import RolloutState

MOST_STRETCHES: Final = 120
_RECENT: Final = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some looks in a row at one step: counts of both versions, and what the evidence said at the end of it."""

    start: datetime
    end: datetime
    step: int
    share: float | None
    stable: Counts
    candidate: Counts
    weighings: tuple[Weighing, ...]


@dataclass(slots=True)
class Course:
    """The evidence of one rollout as far as it was read."""

    rollout_id: str
    began: datetime
    read: int = 0
    stretches: list[Stretch] = field(default_factory=list)
    stable: Counts = field(default_factory=Counts)
    candidate: Counts = field(default_factory=Counts)

    def follow(self, state: RolloutState, journal: Journal) -> None:
        """Read what came since the last time."""
        new = journal.evidence(state.rollout_id, self.read)
        self.read += len(new)
        for block in new:
            if block.start >= state.started_at:
                self._add(block)

    @property
    def looked_at(self) -> datetime | None:
        """When traffic was last counted."""
        return self.stretches[-1].end if self.stretches else None

    @property
    def weighings(self) -> tuple[Weighing, ...]:
        """What the evidence says now; empty before the first look that says something."""
        return next((each.weighings for each in reversed(self.stretches) if each.weighings), ())

    def rate(self) -> float | None:
        """Requests a second to both versions, lately; None where nothing was counted."""
        if not self.stretches:
            return None
        since = self.stretches[-1].end - _RECENT
        recent = [each for each in self.stretches if each.end > since]
        seconds = sum((each.end - each.start).total_seconds() for each in recent)
        requests = sum(each.stable.requests + each.candidate.requests for each in recent)
        return requests / seconds if seconds and requests else None

    def _add(self, block: Block) -> None:
        stable, candidate = _plain(block.stable), _plain(block.candidate)
        self.stable, self.candidate = self.stable + stable, self.candidate + candidate
        new = Stretch(block.start, block.end, block.step, block.share, stable, candidate, block.weighings)
        self.stretches.append(new)
        if len(self.stretches) > MOST_STRETCHES:
            self.stretches = _halved(self.stretches)


def _plain(counts: Counts) -> Counts:
    """What is drawn of it."""
    return Counts(counts.requests, counts.errors, counts.latency)


def _halved(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Two and two put together, but never over the border of a step."""
    found: list[Stretch] = []
    open_to_more = False
    for each in stretches:
        if open_to_more and found[-1].step == each.step:
            found[-1] = _joined(found[-1], each)
            open_to_more = False
        else:
            found.append(each)
            open_to_more = True
    return found


def _joined(one: Stretch, other: Stretch) -> Stretch:
    return Stretch(
        one.start,
        other.end,
        other.step,
        other.share,
        one.stable + other.stable,
        one.candidate + other.candidate,
        other.weighings or one.weighings,
    )
