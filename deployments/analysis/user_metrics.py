"""Users with a key, each counted once a stretch, whatever he asks.

Who meets which version is drawn once for a user, so that he is the unit of evidence (docs/statistics.md). He counts in
two ways, neither of which looks at the version, so that both are counted alike:

- by what he met. He is closed after so many requests, so long after his first one, or when the stretch ends, and counts
  then, with the shares of his requests that went badly.
- by when he first met something bad. Until then he may at any time, so that harm is seen at once, however late.

Stretches of both kinds are counted side by side. Short ones follow one another, so that everybody counts anew every few
minutes. The long one lasts as long as the split stands, so that few users add up to a proof.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Firsts, Units

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


SHORT: Final = Closing(requests=3, after=timedelta(0), blocks=30)
LONG: Final = Closing(requests=20, after=timedelta(minutes=1), blocks=None)


@dataclass(frozen=True, slots=True)
class Together:
    """Users who came in one block: by version, how many had met nothing bad before, and how many now did."""

    well: Mapping[int, int]
    failed: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Closed:
    """What a block says of the users of one stretch: when that began, units by version, and who failed first."""

    stretch: datetime
    units: Mapping[int, Units]
    firsts: tuple[Together, ...] = ()


class Users:
    """The users of one stretch after another. At most `most` are counted in each; further ones are not, in any arm.

    `given_up`: whether it is something bad if a client gives up.
    """

    def __init__(self, closing: Closing, most: int = MOST_USERS, given_up: bool = True) -> None:
        self.began: datetime | None = None
        self._closing = closing
        self._most = most
        self._given_up = given_up
        self._stretch = _Stretch()

    def __len__(self) -> int:
        """How many users were counted, or are being counted, in this stretch."""
        return len(self._stretch.version)

    def begin(self, at: datetime) -> None:
        """A new stretch begins: the split changed. Users who are still open are not counted."""
        self.began, self._stretch = at, _Stretch()

    def add(self, outcomes: Iterable[Outcome], at: datetime) -> None:
        """What happened until `at`, in its order. A user stays with the version of his first request."""
        known = self._stretch
        for outcome in outcomes:
            name = outcome.user
            if name not in known.version:
                if len(self) >= self._most:
                    continue
                known.comes(name, outcome.version, at)
            if known.version[name] != outcome.version:
                continue
            if name in known.well:
                known.asked.setdefault(name, _Asked()).add(outcome)
            if user := known.open.get(name):
                user.add(outcome)
                if user.requests >= self._closing.requests:
                    known.close(name)

    def closed(self, at: datetime) -> Closed:
        """What is known of the users since the call before: a block. A stretch ends with the last of its blocks."""
        known = self._stretch
        stretch = self.began = at if self.began is None else self.began
        known.blocks += 1
        is_last = self._closing.blocks is not None and known.blocks >= self._closing.blocks
        for name in [name for name, user in known.open.items() if is_last or at - user.since >= self._closing.after]:
            known.close(name)
        firsts = known.firsts(self._given_up)
        found = Closed(stretch, known.units, firsts)
        known.units = {}
        if is_last:
            self.begin(at)
        return found


@dataclass(slots=True)
class _Stretch:
    """What is remembered of one stretch.

    `version` has every user. `well` are those who have met nothing bad, with the number of the block in which they
    came; `came` counts them by that block and by version. `asked` are those of them who sent something in this block,
    `open` all who are not closed yet, `units` what this block has counted so far.
    """

    blocks: int = 0
    version: dict[str, int] = field(default_factory=dict)
    well: dict[str, int] = field(default_factory=dict)
    came: dict[int, dict[int, int]] = field(default_factory=dict)
    asked: "dict[str, _Asked]" = field(default_factory=dict)
    open: "dict[str, _Open]" = field(default_factory=dict)
    units: dict[int, Units] = field(default_factory=dict)

    def comes(self, name: str, version: int, at: datetime) -> None:
        self.version[name], self.well[name], self.open[name] = version, self.blocks, _Open(at)
        with_him = self.came.setdefault(self.blocks, {})
        with_him[version] = with_him.get(version, 0) + 1

    def close(self, name: str) -> None:
        self._count(self.version[name], self.open.pop(name).as_unit())

    def firsts(self, given_up: bool) -> tuple[Together, ...]:
        """Count whoever asked, and take out those who met something bad; they leave beside those they came with."""
        failed: dict[int, dict[int, int]] = {}
        for name, asked in self.asked.items():
            version = self.version[name]
            self._count(version, Units(asked=1, failed=asked.failed / asked.requests, left=asked.left / asked.requests))
            if asked.failed or (asked.left and given_up):
                of_block = failed.setdefault(self.well.pop(name), {})
                of_block[version] = of_block.get(version, 0) + 1
        self.asked = {}
        found = tuple(Together(dict(self.came[block]), of_block) for block, of_block in failed.items())
        for block, of_block in failed.items():
            for version, count in of_block.items():
                self.came[block][version] -= count
        return found

    def _count(self, version: int, units: Units) -> None:
        self.units[version] = self.units.get(version, Units()) + units


@dataclass(frozen=True, slots=True)
class Counted:
    """The users that a block of evidence counts: those of its short stretch, and those of its long one."""

    short: Closed
    long: Closed
    given_up: bool = True

    def completes(self, block: Block, stable: int, candidate: int, keyless: Mapping[int, Counts]) -> Block:
        """`block` with its units: these users, and the requests of it that came without a key, by version."""
        others = keyless.get(stable, Counts()), keyless.get(candidate, Counts())
        return replace(
            block,
            stable=self._with_units(block.stable, stable, others[0]),
            candidate=self._with_units(block.candidate, candidate, others[1]),
            stretch=self.short.stretch,
            long_stretch=self.long.stretch,
            firsts=self._firsts(self.short, stable, candidate, others),
            long_firsts=self._firsts(self.long, stable, candidate, others),
        )

    def _with_units(self, counts: Counts, version: int, keyless: Counts) -> Counts:
        others = keyless.as_units()
        short, long = (each.units.get(version, Units()) + others for each in (self.short, self.long))
        return replace(counts, units=short, long_units=long)

    def _firsts(
        self, closed: Closed, stable: int, candidate: int, keyless: tuple[Counts, Counts]
    ) -> tuple[Firsts, ...]:
        users = [
            Firsts(
                each.well.get(stable, 0),
                each.failed.get(stable, 0),
                each.well.get(candidate, 0),
                each.failed.get(candidate, 0),
            )
            for each in closed.firsts
        ]
        # An attempt may break off in an earlier block than the one in which its request is over, and counted.
        others, of_candidate = ((each.requests, min(self._bad(each), each.requests)) for each in keyless)
        return (*users, Firsts(*others, *of_candidate)) if others[1] or of_candidate[1] else tuple(users)

    def _bad(self, counts: Counts) -> int:
        return counts.errors + sum(counts.given_up) * self.given_up


class Stretches:
    """Short stretches and the long one, kept for one split. `given_up` is that of the spec's analysis (0-1)."""

    def __init__(self, given_up: float = 1.0, most: int = MOST_USERS) -> None:
        self._given_up = given_up > 0
        self._short, self._long = (Users(closing, most, self._given_up) for closing in (SHORT, LONG))
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
        return Counted(self._short.closed(at), self._long.closed(at), self._given_up)


@dataclass(slots=True)
class _Asked:
    """What a user asked in one block, who had met nothing bad before."""

    requests: int = 0
    failed: int = 0
    left: int = 0

    def add(self, outcome: Outcome) -> None:
        self.requests += 1
        self.failed += outcome.failed and outcome.given_up is None
        self.left += outcome.given_up is not None


@dataclass(slots=True)
class _Open:
    """A user who is not closed yet."""

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
