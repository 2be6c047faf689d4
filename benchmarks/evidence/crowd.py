"""Users with a key and their requests, simulated: what the gateway would count of them, look by look."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts
from deployments.analysis.user_metrics import Outcome, Stretches

START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=10)
LOOKS = 90  # a quarter of an hour
SHARE = 0.05  # of the users meet the candidate
_BUCKETS = len(LATENCY_BOUNDS_MS) + 1
_MEDIAN_MS, _SLOW_MS = 25, 250
_PATIENCE = 14  # the bucket of a second, after which clients leave
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """So many users with so many requests each on average (some many more), in a quarter of an hour.

    A part `sick` of them sends what fails with a chance of `sick_rate` in either version; everybody else fails with
    `base`. The candidate besides fails `errors` of its requests, hangs on `hangs` of them until their clients leave
    after a second, from the look `since` on, and before that is ten times as slow if `slow_first`.
    """

    users: int
    requests: float
    sick: float = 0.02
    sick_rate: float = 0.3
    base: float = 0.001
    errors: float = 0.0
    hangs: float = 0.0
    since: int = 0
    slow_first: bool = False

    @property
    def begins(self) -> int:
        """From which look on the candidate does harm, if it does any."""
        return 0 if self.slow_first else self.since


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the block, and by version (stable, candidate) what peers are told.

    `users` are all who came so far, `total` and `squares` sum over them their shares of bad requests so far, `fell`
    counts those who met something bad for the first time in this look.
    """

    block: Block
    users: tuple[int, int]
    total: tuple[float, float]
    squares: tuple[float, float]
    fell: tuple[int, int]


def simulate(crowd: Crowd, seed: int) -> Iterator[Seen]:
    """A rollout, look by look: the same for the same seed."""
    chance = np.random.default_rng(seed)
    on_candidate = chance.random(crowd.users) < SHARE
    sick = chance.random(crowd.users) < crowd.sick
    busy = chance.gamma(1.0, 1.0, crowd.users)
    asked = (
        chance.poisson(crowd.requests * busy / busy.mean()) if crowd.requests > 1 else np.ones(crowd.users, np.int64)
    )
    who = np.repeat(np.arange(crowd.users), asked)
    when = chance.integers(0, LOOKS, len(who))
    order = np.argsort(when, kind="stable")
    who, when = who[order], when[order]
    candidate = on_candidate[who]
    harmed = candidate & (when >= crowd.since)
    rate = np.where(sick[who], crowd.sick_rate, crowd.base)
    failed = chance.random(len(who)) < np.where(harmed, np.maximum(rate, crowd.errors), rate)
    hung = harmed & (chance.random(len(who)) < crowd.hangs)
    slow = candidate & (when < crowd.since) & crowd.slow_first
    milliseconds = np.where(slow, _SLOW_MS, _MEDIAN_MS) * np.exp(chance.logistic(0, 0.5, len(who)))
    bucket = np.searchsorted(LATENCY_BOUNDS_MS, milliseconds)
    requests = _Requests(who, candidate, failed & ~hung, hung, bucket)
    yield from _looks(requests, np.searchsorted(when, np.arange(LOOKS), side="right"), crowd, on_candidate)


@dataclass(frozen=True, slots=True)
class _Requests:
    who: Ints
    candidate: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    hung: NDArray[np.bool_]
    bucket: Ints

    def part(self, start: int, end: int) -> "_Requests":
        chosen = slice(start, end)
        return _Requests(*(each[chosen] for each in self._columns()))

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.who, self.candidate, self.failed, self.hung, self.bucket

    def counts(self, of: NDArray[np.bool_]) -> Counts:
        answered = self.bucket[of & ~self.hung]
        left = int((of & self.hung).sum())
        given_up = tuple(left if bucket == _PATIENCE else 0 for bucket in range(_BUCKETS)) if left else ()
        latency = tuple(np.bincount(answered, minlength=_BUCKETS).tolist())
        return Counts(int(of.sum()), int((of & self.failed).sum()), latency, given_up=given_up)

    def outcomes(self) -> Iterator[Outcome]:
        for who, candidate, failed, hung, bucket in zip(*(each.tolist() for each in self._columns()), strict=True):
            times = (None, _PATIENCE) if hung else (bucket, None)
            yield Outcome(2 if candidate else 1, str(who), failed, *times)


def _looks(requests: _Requests, ends: Ints, crowd: Crowd, on_candidate: NDArray[np.bool_]) -> Iterator[Seen]:
    stretches = Stretches()
    stretches.begin(START)
    asked, bad = np.zeros(crowd.users), np.zeros(crowd.users)
    for look, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        now = requests.part(start, end)
        at = START + (look + 1) * INTERVAL
        block = Block(at - INTERVAL, at, 0, SHARE, now.counts(~now.candidate), now.counts(now.candidate))
        stretches.add(now.outcomes(), at)
        counted = stretches.block(at)
        well = bad == 0
        asked += np.bincount(now.who, minlength=crowd.users)
        bad += np.bincount(now.who, now.failed | now.hung, minlength=crowd.users)
        share = np.divide(bad, asked, out=np.zeros(crowd.users), where=asked > 0)
        arms = (asked > 0) & ~on_candidate, (asked > 0) & on_candidate
        fell = well & (bad > 0)
        yield Seen(
            block if counted is None else counted.completes(block, 1, 2, {}),
            (int(arms[0].sum()), int(arms[1].sum())),
            (float(share[arms[0]].sum()), float(share[arms[1]].sum())),
            (float((share[arms[0]] ** 2).sum()), float((share[arms[1]] ** 2).sum())),
            (int((fell & arms[0]).sum()), int((fell & arms[1]).sum())),
        )
