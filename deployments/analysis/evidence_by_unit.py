"""Evidence in parts, by what its unit is. The wealth of each part is an e-process by itself.

Requests are one part, whatever befalls the split. Where users have keys, each stretch is a part: the same users come
back in the next one, so that what was seen of them before says what they will do, and bets inside a stretch may rest on
that stretch only. Parts are therefore never multiplied or averaged; each has a share of alpha and beta, and the shares
add up (docs/statistics.md).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from deployments.analysis.block_counts import Arms, Array, Starts, Unit
from deployments.analysis.evidence import Block, Counts
from deployments.analysis.unattributed_requests import with_gap_harm

_SHORT_SHARE = 0.5  # of alpha goes to the short stretches, the rest to the long ones
_SHORT_SHARE_OF_FAILURES = 1 / 3  # likewise where the first short stretch of each long one has none


@dataclass(frozen=True, slots=True)
class Strength:
    """The log of an e-value against alpha, over all parts.

    `ever` is the largest that a part ended with, or has now, and `where` the position of that part. `now` is the
    largest of the parts that still stand: one does until a later one has as many units of the candidate. An old
    suspicion that was looked into as thoroughly once more, and not found again, is none.
    """

    ever: float
    now: float
    where: int = 0

    @classmethod
    def alone(cls, log_e: float) -> "Strength":
        """Of evidence that has one part."""
        return cls(log_e, log_e)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Blocks whose units are independent of each other. `since` is when a stretch began, None for requests.

    `log_alpha` and `log_beta` are the logs of its shares of alpha and beta, at most 0.
    """

    blocks: Sequence[Block]
    unit: Unit
    since: datetime | None
    log_alpha: float
    log_beta: float


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """All blocks of a judgement, by part.

    `whole` are the requests (if there are any without stretches) and then the long stretches, oldest first. `short`
    are the blocks of all short stretches, which begin at `starts`. Results that are told by part stand in this order:
    `whole`, then the short stretches. `given_up` (0-1) is as what part of an error a given-up request counts,
    `allowed` (0-1) which part of the candidate's requests of unknown users may go badly for nothing.
    """

    blocks: Sequence[Block]
    whole: tuple[Part, ...]
    short: Sequence[Block]
    starts: Starts
    given_up: float
    allowed: float = 0.0

    @property
    def unknown(self) -> int:
        """The candidate's requests of which nobody knows whose they are."""
        return sum(block.unknown for block in self.blocks)

    @property
    def by_user(self) -> bool:
        """Whether some of the units are users."""
        return bool(self.short)

    @property
    def noun(self) -> str:
        """What the units are called."""
        if not self.by_user:
            return "requests"
        keyless = any(
            counts.requests if counts.units is None else counts.units.keyless
            for version in self.versions
            for counts in version
        )
        return "users and requests without a key" if keyless else "users"

    @property
    def log_alpha(self) -> Array:
        """By part, the logs of the shares of alpha."""
        number = np.arange(1, len(self.starts) + 1)
        short = np.log(_SHORT_SHARE) - np.log(number * (number + 1))
        return np.concatenate(([part.log_alpha for part in self.whole], short))

    @property
    def log_alpha_of_failures(self) -> Array:
        """Likewise, for whatever is known of a user at once: who fails, and when.

        Of that the first short stretch of a long one has seen nothing else than the long one until it ends, so that it
        is not tested, and its share goes to the others.
        """
        long = np.log(1 - _SHORT_SHARE_OF_FAILURES)
        whole = [part.log_alpha if part.since is None else part.log_beta + long for part in self.whole]
        tested = np.array([self.short[start].stretch != self.short[start].long_stretch for start in self.starts], bool)
        number = np.maximum(np.cumsum(tested), 1)
        short = np.log(_SHORT_SHARE_OF_FAILURES) - np.log(number * (number + 1))
        return np.concatenate((whole, np.where(tested, short, -np.inf)))

    @property
    def versions(self) -> tuple[list[Counts], list[Counts]]:
        """Whatever was counted: of the stable version, and of the candidate."""
        return [block.stable for block in self.blocks], [block.candidate for block in self.blocks]

    @property
    def anything_given_up(self) -> bool:
        """Whether a client left before its answer."""
        return any(counts.given_up and any(counts.given_up) for version in self.versions for counts in version)

    @property
    def short_stretches(self) -> list[Sequence[Block]]:
        """The blocks of each short stretch."""
        ends = [*self.starts[1:], len(self.short)]
        return [self.short[start:end] for start, end in zip(self.starts, ends, strict=True)] if self.by_user else []

    def strength(self, logs: Array, sizes: Sequence[float]) -> Strength:
        """Of `logs` by part, whose candidates had `sizes` units."""
        count, where = len(self.whole), int(np.argmax(logs))
        stand = np.array(_standing(sizes[:count]) + _standing(sizes[count:]))
        return Strength(float(logs[where]), float(logs[stand].max()), where)

    def when(self, proved: Strength | None) -> str:
        """In words, of which stretch is spoken where something was proved; empty for requests."""
        if proved is None or not self.by_user:
            return ""
        position = proved.where - len(self.whole)
        since = self.whole[proved.where].since if position < 0 else self.short[self.starts[position]].stretch
        return "" if since is None else f" since {since:%H:%M:%S} UTC"


def split_into_parts(blocks: Sequence[Block], given_up: float, allowed: float = 0.0) -> Parts:
    """`blocks`, oldest first, by part."""
    requests = [block for block in blocks if not _by_user(block)]
    users = [block for block in blocks if _by_user(block)] if len(requests) < len(blocks) else []
    whole = [Part(requests, Unit.REQUEST, None, 0.0, 0.0)] if requests or not users else []
    long = _stretches(_long_stretch(block) for block in users)
    for number, (start, end) in enumerate(zip(long, [*long[1:], len(users)], strict=False), start=1):
        share = -float(np.log(number * (number + 1)))
        since = _long_stretch(users[start]) or users[start].start
        whole.append(Part(users[start:end], Unit.LONG, since, share + float(np.log(1 - _SHORT_SHARE)), share))
    starts = np.array(_stretches(block.stretch for block in users), np.intp)
    return Parts(blocks, tuple(whole), users, starts, given_up, allowed)


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One metric's arms, by part; short stretches begin at the rows `starts` of `short`.

    `log_alpha` are the logs of the parts' shares of alpha.
    """

    parts: Parts
    whole: tuple[Arms, ...]
    short: Arms
    starts: Starts
    log_alpha: Array

    def logs(self, whole: Callable[[Arms], Array | float], each: Callable[[Arms, Starts], Array]) -> Array:
        """What a test says, by part, (parts,) or (parts, kinds), as large as it must be to be held against alpha.

        `whole` is asked of the parts that are looked at whole, `each` of all short stretches.
        """
        found = np.stack([np.asarray(whole(arms)) for arms in self.whole])
        if self.parts.by_user:
            found = np.concatenate((found, each(self.short, self.starts)))
        return found + (self.log_alpha if found.ndim == 1 else self.log_alpha[:, None])

    def strength(self, logs: Array) -> Strength:
        """Of `logs` by part, (parts,)."""
        sizes = [float(arms.candidate.sum(axis=0).max(initial=0)) for arms in self.whole]
        if self.parts.by_user:
            sizes += np.add.reduceat(self.short.candidate, self.starts).tolist()
        return self.parts.strength(logs, sizes)

    def total(self, proved: Strength | None) -> Arms:
        """What was counted, in one row.

        Of the part that `proved` something; None: all requests, and users once in each long stretch.
        """
        if proved is None or not self.parts.by_user:
            return _sum([_total(arms) for arms in self.whole])
        if proved.where < len(self.whole):
            return _total(self.whole[proved.where])
        number = proved.where - len(self.whole)
        ends = np.append(self.starts[1:], len(self.short.stable))
        return _total(self.short, slice(self.starts[number], ends[number]))


def arms_by_part(parts: Parts, read: Callable[[Sequence[Block], Unit], Arms], *, at_once: bool = False) -> Series:
    """A metric's arms, which `read` takes from blocks. `at_once`: it counts users as soon as they fail."""
    whole = tuple(with_gap_harm(read(part.blocks, part.unit), part.blocks, parts.allowed) for part in parts.whole)
    log_alpha = parts.log_alpha_of_failures if at_once else parts.log_alpha
    return Series(parts, whole, read(parts.short, Unit.SHORT), parts.starts, log_alpha)


_ALL = slice(None)


def _total(arms: Arms, blocks: slice = _ALL) -> Arms:
    return Arms(*(each[blocks].sum(axis=0)[None] for each in arms.columns))


def _sum(rows: Sequence[Arms]) -> Arms:
    """Rows of one metric; their totals may differ by kind in some only."""
    columns = zip(*(row.columns for row in rows), strict=True)
    return Arms(*(_added(column) for column in columns))


def _added(rows: Sequence[Array]) -> Array:
    if any(row.ndim == 2 for row in rows):
        rows = [row if row.ndim == 2 else row[:, None] for row in rows]
    total: Array = np.sum(np.broadcast_arrays(*rows), axis=0)
    return total


def _by_user(block: Block) -> bool:
    return block.stretch is not None or block.stable.units is not None or block.candidate.units is not None


def _long_stretch(block: Block) -> datetime | None:
    """Whoever counts users in one way only counts them in short stretches."""
    return block.stretch if block.long_stretch is None else block.long_stretch


def _stretches(began: Iterable[datetime | None]) -> list[int]:
    """At which positions the values change."""
    starts: list[int] = []
    last: datetime | None = None
    for position, each in enumerate(began):
        if not starts or each != last:
            starts.append(position)
        last = each
    return starts


def _standing(sizes: Sequence[float]) -> list[bool]:
    """Whether each is larger than all that come later; the last one always."""
    stand: list[bool] = []
    largest = -1.0
    for size in reversed(sizes):
        stand.append(size > largest)
        largest = max(largest, size)
    return stand[::-1]
