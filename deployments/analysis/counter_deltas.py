"""Counters as they are read, and what was counted between two readings."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from deployments.analysis.evidence import Counts, Pairs, Sums
from deployments.analysis.user_metrics import Outcome


@dataclass(frozen=True, slots=True)
class Source:
    """One counter of one version. `epoch` changes whenever it began again at zero: a restart of whoever counts.

    `began` is when that was; None for counters of which every reading has all.
    `mirrored`: of copies, whose answers no user gets. `keyed`: of requests with the product's sticky key, so that
    several may be one user's.
    """

    version: int
    epoch: str
    began: datetime | None = None
    mirrored: bool = False
    keyed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """How far somebody has read in a log of users: which file, which place, and requests whose end is still to come.

    `broken` are ids of those of which an attempt broke off.
    """

    file: str = ""
    offset: int = 0
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """How requests of users with a key went, in their order, up to `mark`; unless `whole` some are missing.

    `requests` are their ids, where these are known.
    """

    mark: Mark
    outcomes: tuple[Outcome, ...] = ()
    whole: bool = True
    requests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What had been counted at one moment, by source, ever since that source began.

    `pairs` are mirrored requests compared since `pairs_epoch` began. `missing` says what could not be read beside what
    users were answered; empty for a whole reading.
    """

    at: datetime
    sources: Mapping[Source, Counts]
    pairs: Pairs = field(default_factory=Pairs)
    pairs_epoch: str = ""
    missing: str = ""

    def since(self, former: "Reading") -> Mapping[int, Counts]:
        """By version, what was counted between `former` and this reading; a source that began again counts whole.

        One that was there before and is not in `former` did not answer then: what it counted since is not known. Where
        `former` misses something that is so of all that is new.
        """
        found: dict[int, Counts] = {}
        for source, counts in self.sources.items():
            before = former.missing or (source.began is not None and source.began < former.at)
            if source not in former.sources and before:
                continue
            fresh = _less(counts, former.sources.get(source, Counts()))
            found[source.version] = found.get(source.version, Counts()) + fresh
        return found

    def without_copies(self) -> "Reading":
        """What users asked for, alone."""
        return replace(self, sources={source: each for source, each in self.sources.items() if not source.mirrored})

    def without_users(self) -> "Reading":
        """Requests that came without a key, alone."""
        return replace(self, sources={source: each for source, each in self.sources.items() if not source.keyed})

    @property
    def counting(self) -> frozenset[Source]:
        """Those that have counted requests of users."""
        return frozenset(source for source, counts in self.sources.items() if counts.requests and not source.mirrored)

    def late(self, former: frozenset[Source], at: datetime) -> bool:
        """Whether counts of users are missing or late since `former` told theirs, at that time.

        One of them is silent or gone, or one that was there before tells again what it counted in a silence.
        """
        back = (source for source in self.counting - former if source.began is None or source.began < at)
        return bool(former - self.sources.keys()) or any(back)

    def pairs_since(self, former: "Reading") -> Pairs:
        """The pairs compared between the two readings."""
        if former.missing and not former.pairs_epoch:
            return Pairs()
        if self.pairs_epoch != former.pairs_epoch:
            return self.pairs
        return Pairs(
            self.pairs.compared - former.pairs.compared,
            self.pairs.disagreed - former.pairs.disagreed,
            self.pairs.only_stable_right - former.pairs.only_stable_right,
            self.pairs.only_candidate_right - former.pairs.only_candidate_right,
        )

    def carrying(self, former: "Reading") -> "Reading":
        """This reading with the sources that only `former` knew: one that is away for a moment is not counted anew."""
        whole = replace(self, sources={**former.sources, **self.sources})
        if self.missing and not self.pairs_epoch:
            whole = replace(whole, pairs=former.pairs, pairs_epoch=former.pairs_epoch)
        return whole


def _less(now: Counts, before: Counts) -> Counts:
    """Counters only rise; where one fell all the same (a correction), nothing counts for it."""
    return Counts(
        max(0, now.requests - before.requests),
        max(0, now.errors - before.errors),
        _less_each(now.latency, before.latency),
        {
            name: count - before.predictions.get(name, 0)
            for name, count in now.predictions.items()
            if count > before.predictions.get(name, 0)
        },
        {
            name: _less_sums(sums, before.feedback.get(name, Sums()))
            for name, sums in now.feedback.items()
            if sums.count > before.feedback.get(name, Sums()).count
        },
        _less_each(now.given_up, before.given_up),
    )


def _less_each(now: tuple[int, ...], before: tuple[int, ...]) -> tuple[int, ...]:
    earlier = before or (0,) * len(now)
    return tuple(max(0, late - early) for late, early in zip(now, earlier, strict=bool(now)))


def _less_sums(now: Sums, before: Sums) -> Sums:
    return Sums(now.count - before.count, now.total - before.total, now.squares - before.squares)
