"""Users with a key, each counted once a stretch, whatever he asks.

Who meets which version is drawn once for a user, so that he is the unit of evidence (docs/statistics.md). He is closed
after so many requests, so long after his first one, or when the stretch ends, and counts then, with the shares of his
requests that went badly. Nothing of this looks at the version, so that both are counted alike.

Users are counted twice over. Short stretches follow one another, so that harm which begins late is seen with users who
were there before. The long one lasts as long as the split stands, so that few users add up to a proof.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Units

# Users that are counted in one stretch: invented keys shall fill no memory.
MOST_USERS: Final = 50_000
# Labels that are told apart for one user; what else was predicted for him is left out.
MOST_LABELS: Final = 100
_BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request with a key went.

    `user` is the hash of the key. `failed`: as an error of `Counts`. `latency` is the bucket of the answer's time,
    `given_up` that of the request's age when its client left (buckets of LATENCY_BOUNDS_MS); None where not measured,
    not given up. `predicted` are the shares (0-1) of the request's rows by what was predicted, empty if not known.
    """

    version: int
    user: str
    failed: bool = False
    latency: int | None = None
    given_up: int | None = None
    predicted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Closing:
    """When a user has been counted: after so many `requests`, so long `after` his first, or at the stretch's end.

    Looks close: `after` no time means at the look that finds him. `blocks` is how many blocks a stretch lasts; None: as
    long as the split stands.
    """

    requests: int
    after: timedelta
    blocks: int | None


SHORT: Final = Closing(requests=3, after=timedelta(0), blocks=12)
LONG: Final = Closing(requests=20, after=timedelta(minutes=1), blocks=None)


@dataclass(frozen=True, slots=True)
class Closed:
    """The users that were closed since the block before, by version, and when their stretch began."""

    stretch: datetime
    units: Mapping[int, Units]


class Users:
    """The users of one stretch after another. At most `most` are counted in each; further ones are not, in any arm."""

    def __init__(self, closing: Closing, most: int = MOST_USERS) -> None:
        self.began: datetime | None = None
        self._closing = closing
        self._most = most
        self._open: dict[str, _Open] = {}
        self._done: set[str] = set()
        self._units: dict[int, Units] = {}
        self._blocks = 0

    def __len__(self) -> int:
        """How many users were counted, or are being counted, in this stretch."""
        return len(self._open) + len(self._done)

    def begin(self, at: datetime) -> None:
        """A new stretch begins: the split changed. Users who are still open are not counted."""
        self.began = at
        self._open, self._done, self._units, self._blocks = {}, set(), {}, 0

    def add(self, outcomes: Iterable[Outcome], at: datetime) -> None:
        """What happened until `at`, in its order. A user stays with the version of his first request."""
        for outcome in outcomes:
            user = self._open.get(outcome.user)
            if user is None:
                if outcome.user in self._done or len(self) >= self._most:
                    continue
                user = self._open[outcome.user] = _Open(outcome.version, at)
            if user.version != outcome.version:
                continue
            user.add(outcome)
            if user.requests >= self._closing.requests:
                self._close(outcome.user)

    def closed(self, at: datetime) -> Closed:
        """The users closed since the call before: a block. After the last block of a stretch the next one begins."""
        stretch = at if self.began is None else self.began
        self.began, self._blocks = stretch, self._blocks + 1
        is_last = self._closing.blocks is not None and self._blocks >= self._closing.blocks
        for name in [name for name, user in self._open.items() if is_last or at - user.since >= self._closing.after]:
            self._close(name)
        found = Closed(stretch, self._units)
        self._units = {}
        if is_last:
            self.begin(at)
        return found

    def _close(self, name: str) -> None:
        user = self._open.pop(name)
        self._done.add(name)
        self._units[user.version] = self._units.get(user.version, Units()) + user.as_unit()


@dataclass(frozen=True, slots=True)
class Counted:
    """The users that a block of evidence counts: those of its short stretch, and those of its long one."""

    short: Closed
    long: Closed

    def completes(self, block: Block, stable: int, candidate: int, keyless: Mapping[int, Counts]) -> Block:
        """`block` with its units: these users, and the requests of it that came without a key, by version."""
        return replace(
            block,
            stable=self._with_units(block.stable, stable, keyless),
            candidate=self._with_units(block.candidate, candidate, keyless),
            stretch=self.short.stretch,
            long_stretch=self.long.stretch,
        )

    def _with_units(self, counts: Counts, version: int, keyless: Mapping[int, Counts]) -> Counts:
        others = keyless.get(version, Counts()).as_units()
        short, long = (each.units.get(version, Units()) + others for each in (self.short, self.long))
        return replace(counts, units=short, long_units=long)


class Stretches:
    """Both ways of counting users, kept for one split."""

    def __init__(self, most: int = MOST_USERS) -> None:
        self._short, self._long = Users(SHORT, most), Users(LONG, most)
        self._seen = False

    def begin(self, at: datetime) -> None:
        """The split changed, or counting begins: every user is new."""
        self._short.begin(at)
        self._long.begin(at)
        self._seen = False

    def add(self, outcomes: Iterable[Outcome], at: datetime) -> None:
        """What requests with a key came to until `at`."""
        known = tuple(outcomes)
        self._seen = self._seen or bool(known)
        for users in (self._short, self._long):
            users.add(known, at)

    def block(self, at: datetime) -> Counted | None:
        """The users for the block that ends `at`; None while nobody has sent a key: requests are the units."""
        if not self._seen:
            self.begin(at)
            return None
        return Counted(self._short.closed(at), self._long.closed(at))


@dataclass(slots=True)
class _Open:
    """A user who is being counted."""

    version: int
    since: datetime
    requests: int = 0
    failed: int = 0
    latency: dict[int, int] = field(default_factory=dict)
    given_up: dict[int, int] = field(default_factory=dict)
    predicted: dict[str, float] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        self.requests += 1
        self.failed += outcome.failed and outcome.given_up is None
        if outcome.given_up is not None:
            self.given_up[outcome.given_up] = self.given_up.get(outcome.given_up, 0) + 1
        elif outcome.latency is not None:
            self.latency[outcome.latency] = self.latency.get(outcome.latency, 0) + 1
        for label, share in outcome.predicted.items():
            if label in self.predicted or len(self.predicted) < MOST_LABELS:
                self.predicted[label] = self.predicted.get(label, 0.0) + share

    def as_unit(self) -> Units:
        predicted = sum(self.predicted.values())
        return Units(
            count=1,
            errors=self.failed / self.requests,
            latency=self._shares(self.latency),
            given_up=self._shares(self.given_up),
            predictions={label: part / predicted for label, part in self.predicted.items() if predicted > 0},
        )

    def _shares(self, by_bucket: Mapping[int, int]) -> tuple[float, ...]:
        return tuple(by_bucket.get(bucket, 0) / self.requests for bucket in range(_BUCKETS)) if by_bucket else ()
