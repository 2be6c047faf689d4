"""Whether a candidate answers those who are sent to it, where what a gateway says in its stead is in no count."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from deployments.analysis import response_shortfall
from deployments.analysis.evidence import Block
from deployments.analysis.metric_result import percent
from deployments.plurals import counted
from tasks.rollout_engine.patience import PATIENCE

# A gateway still leads by the weights before for so long, and answers to what it led there come later.
_SETTLING: Final = timedelta(seconds=5)
# A shortfall that is over is none to act on: what was seen in so long must be short, too.
_RECENT: Final = timedelta(seconds=30)


class Split(NamedTuple):
    """By which requests were sent since `began`.

    `share` is the candidate's (0-1), None where it is not by chance. `tolerance` is how far the odds of an answer by it
    may fall short; None where too few tell nothing. `number` counts the splits of the rollout from 1.
    """

    candidate: int
    former: int
    share: float | None
    tolerance: float | None
    number: int
    began: datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look says of the answers.

    `healthy` is the time that counts; `trouble` why it does not (empty if it does, or if chance may explain it);
    `silent`: the candidate answered nothing in it. `lost` is the shortfall in words, once it is proved and has lasted.
    """

    healthy: timedelta
    trouble: str = ""
    silent: bool = False
    lost: str | None = None


@dataclass(slots=True)
class Answering:
    """Remembers the looks under one split; a new split needs a new one.

    `quiet` is the time since the candidate last answered, `missed` what the champion answered in it.
    """

    split: Split
    looks: list[Block] = field(default_factory=list)
    quiet: timedelta = timedelta(0)
    missed: int = 0
    short_since: datetime | None = None

    def look(self, block: Block, healthy: timedelta, whole: bool) -> Seen:
        """`whole`: every server told its counts at both ends of the block, so that none is missing or late in it."""
        if judged := whole and block.start >= self.split.began + _SETTLING:
            self.looks.append(block)
        silent = not block.candidate.requests and bool(block.stable.requests)
        healthy, trouble = self._quiet(block, healthy) if silent else self._answered(block, healthy, judged)
        short = self._short(block)
        lasting = short and self.short_since is not None and block.end - self.short_since >= PATIENCE
        if short or trouble:
            healthy = timedelta(0)
        return Seen(healthy, short or trouble, silent, short if lasting else None)

    def _quiet(self, block: Block, healthy: timedelta) -> tuple[timedelta, str]:
        """Time counts once the candidate answers again, and only if chance may have passed it over until then."""
        self.quiet += healthy
        self.missed += block.stable.requests
        split = self.split
        if split.share is None or not response_shortfall.is_rare(0, self.missed, split.share, split.tolerance or 0.0):
            return timedelta(0), ""
        self.quiet = timedelta(0)
        requests = counted(self.missed, "request")
        return timedelta(0), (
            f"v{split.candidate} has answered nothing while v{split.former} answered {requests}, where "
            f"{percent(split.share)} are configured"
        )

    def _answered(self, block: Block, healthy: timedelta, judged: bool) -> tuple[timedelta, str]:
        healthy, self.quiet, self.missed = healthy + self.quiet, timedelta(0), 0
        share, tolerance = self.split.share, self.split.tolerance
        if share is None or tolerance is None or not judged:
            return healthy, ""
        if response_shortfall.is_rare(*_sums([block]), share, tolerance):
            return timedelta(0), self._told([block])
        return healthy, ""

    def _short(self, block: Block) -> str:
        """The shortfall of the last minute in words, if it is proved and not over; empty otherwise."""
        since, self.short_since = self.short_since, None
        share, tolerance = self.split.share, self.split.tolerance
        recent = [each for each in self.looks if each.end > block.end - _RECENT]
        if share is None or tolerance is None or not response_shortfall.is_short(*_sums(recent), share, tolerance):
            return ""
        given, total = zip(*(_sums([each]) for each in self.looks), strict=True)
        if not response_shortfall.is_proved(
            response_shortfall.log_e(given, total, share, tolerance), self.split.number
        ):
            return ""
        self.short_since = since or block.end
        return self._told([each for each in self.looks if each.end > block.end - PATIENCE])

    def _told(self, looks: list[Block]) -> str:
        given, total = _sums(looks)
        seconds = (looks[-1].end - looks[0].start).total_seconds()
        answers = counted(total, "answer")
        return (
            f"users sent to v{self.split.candidate} get no answer: in {seconds:.0f} s {given:,} of {answers} "
            f"({percent(given / total)}) were its own, where {percent(self.split.share or 0.0)} are configured"
        )


def _sums(looks: list[Block]) -> tuple[int, int]:
    """Answers of the candidate, and of both versions."""
    given = sum(each.candidate.requests for each in looks)
    return given, given + sum(each.stable.requests for each in looks)
