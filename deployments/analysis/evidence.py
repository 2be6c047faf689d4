"""What was counted: the only input of a judgement, kept in the journal so that a verdict can be reached again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

N = TypeVar("N", int, float)
# Upper bounds of the latency buckets in milliseconds; one more bucket holds what is slower than the last.
LATENCY_BOUNDS_MS: Final = (1, 2, 5, 10, 20, 35, 50, 75, 100, 150, 200, 350, 500, 750, 1000, 2000, 5000, 10000)


@dataclass(frozen=True, slots=True)
class Sums:
    """Values pushed for one feedback metric: how many, their sum and the sum of their squares."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.total + other.total, self.squares + other.squares)


@dataclass(frozen=True, slots=True)
class Units:
    """What chance sent to one version, each counted once: a user with a key, or a request without one.

    `count` is how many there were. A user is one unit whatever he asked: everything else sums, over the units, the
    share (0-1) of a unit's requests that went so: `errors` failed, `latency` were answered within each bucket,
    `given_up` were given up at an age in each bucket (both len(LATENCY_BOUNDS_MS) + 1 numbers, or none); `predictions`
    the share of his answers with this label or bin. `keyless` of the units are requests without a key: where nobody can
    choose his version.

    `asked` users sent something in this block and had met nothing bad in their stretch before; `failed` and `left` sum,
    over them, the shares of their requests of this block that failed, that they gave up. Requests without a key are
    among these too.
    """

    count: int = 0
    errors: float = 0.0
    latency: tuple[float, ...] = ()
    given_up: tuple[float, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)
    keyless: int = 0
    asked: int = 0
    failed: float = 0.0
    left: float = 0.0

    def __add__(self, other: "Units") -> "Units":
        return Units(
            self.count + other.count,
            self.errors + other.errors,
            _added(self.latency, other.latency),
            _added(self.given_up, other.given_up),
            _added_by_name(self.predictions, other.predictions),
            self.keyless + other.keyless,
            self.asked + other.asked,
            self.failed + other.failed,
            self.left + other.left,
        )


@dataclass(frozen=True, slots=True)
class Firsts:
    """Users who came in the same block, and of whom somebody met something bad in this one for the first time.

    `stable` and `candidate` are how many there were who had met nothing bad before, by their version; of these
    `stable_failed` and `candidate_failed` now did. Requests without a key stand together likewise.
    """

    stable: int
    stable_failed: float
    candidate: int
    candidate_failed: float


@dataclass(frozen=True, slots=True)
class Counts:
    """What one version did in some stretch of time.

    `requests` came through the split, or were mirrored to the version; `errors` of them failed: with 5xx, or in an
    attempt that the gateway had to repeat. `latency` counts answers by bucket (len(LATENCY_BOUNDS_MS) + 1 numbers, or
    none if nobody measured). `given_up` are those of `requests` whose client left before an answer, by the bucket of
    the request's age at that moment (as many numbers, or none); they are neither in `errors` nor in `latency`.
    `predictions` counts answered requests by what was predicted: a class label, or the name of a bin; the rows of one
    request share in one. `feedback` holds what users pushed, by metric. `units` and `long_units` are what the two
    versions are compared by where users have keys: each counted once in the block's stretch, and once in its long
    stretch. None: every request is a unit.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = ()
    predictions: Mapping[str, float] = field(default_factory=dict)
    feedback: Mapping[str, Sums] = field(default_factory=dict)
    given_up: tuple[int, ...] = ()
    units: Units | None = None
    long_units: Units | None = None

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            _added(self.latency, other.latency),
            _added_by_name(self.predictions, other.predictions),
            {
                name: self.feedback.get(name, Sums()) + other.feedback.get(name, Sums())
                for name in sorted({*self.feedback, *other.feedback})
            },
            _added(self.given_up, other.given_up),
            _added_units(self.units, other.units),
            _added_units(self.long_units, other.long_units),
        )

    @property
    def count(self) -> int:
        """How many units there are where every request is one."""
        return self.requests

    def as_units(self) -> Units:
        """Every request a unit by itself: these have no key."""
        failed = min(self.errors, self.requests)
        left = sum(self.given_up)
        return Units(
            self.requests,
            failed,
            self.latency,
            self.given_up,
            self.predictions,
            keyless=self.requests,
            asked=self.requests,
            failed=failed,
            left=left,
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Mirrored requests that both versions answered: how many, and in how many the predictions differ.

    With labels also in how many only one of the two was right; those are among the compared ones.
    """

    compared: int = 0
    disagreed: int = 0
    only_stable_right: int = 0
    only_candidate_right: int = 0

    def __add__(self, other: "Pairs") -> "Pairs":
        return Pairs(
            self.compared + other.compared,
            self.disagreed + other.disagreed,
            self.only_stable_right + other.only_stable_right,
            self.only_candidate_right + other.only_candidate_right,
        )


@dataclass(frozen=True, slots=True)
class Weighing:
    """How strong the evidence on one metric was, once a block was counted: e-values and estimate as in `Finding`."""

    metric: str
    harm: float
    harm_needed: float
    safe: float | None
    safe_needed: float
    still_needed: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """What both versions did between two looks, while the split stood still.

    `share` is the candidate's configured share of the split, 0–1; None where the split is not by chance (a header
    match), so that it cannot be tested. `step` is the position of the plan's step that was under way. `stretch` is when
    the stretch began within which a user counts once (all blocks of one stretch have the same), `long_stretch` the
    same of the long one, which lasts as long as the split stands; None: requests are the units. What was counted while
    the split was not the configured one, or users could not be told apart, is not `trusted`: it may prove harm, and
    nothing else.
    `unknown` of the candidate's requests had a key, and nobody knows whose they were.
    `firsts` and `long_firsts` are the users of each stretch who met something bad in this block for the first time,
    beside those they came with; None: nobody counted them.
    `weighings` say what came of it and all before, for whoever draws that; no verdict is reached from them.
    """

    start: datetime
    end: datetime
    step: int
    share: float | None
    stable: Counts
    candidate: Counts
    pairs: Pairs = Pairs()
    stretch: datetime | None = None
    long_stretch: datetime | None = None
    trusted: bool = True
    firsts: tuple[Firsts, ...] | None = None
    long_firsts: tuple[Firsts, ...] | None = None
    unknown: int = 0
    weighings: tuple[Weighing, ...] = field(default=(), compare=False)


def block_to_json(block: Block) -> dict[str, Any]:
    """A block as the journal keeps it."""
    return {
        "start": block.start.isoformat(),
        "end": block.end.isoformat(),
        "step": block.step,
        "share": block.share,
        "stable": _counts_to_json(block.stable),
        "candidate": _counts_to_json(block.candidate),
        "pairs": [
            block.pairs.compared,
            block.pairs.disagreed,
            block.pairs.only_stable_right,
            block.pairs.only_candidate_right,
        ],
        "stretch": block.stretch.isoformat() if block.stretch else None,
        "long_stretch": block.long_stretch.isoformat() if block.long_stretch else None,
        "firsts": _firsts_to_json(block.firsts),
        "long_firsts": _firsts_to_json(block.long_firsts),
        "trusted": block.trusted,
        "unknown": block.unknown,
        "weighings": [
            [each.metric, each.harm, each.harm_needed, each.safe, each.safe_needed, each.still_needed]
            for each in block.weighings
        ],
    }


def block_from_json(document: Mapping[str, Any]) -> Block:
    """The block that `block_to_json` wrote, or an earlier version of it, which knew neither units nor given-up ones."""
    return Block(
        datetime.fromisoformat(document["start"]),
        datetime.fromisoformat(document["end"]),
        document["step"],
        document["share"],
        _counts_from_json(document["stable"]),
        _counts_from_json(document["candidate"]),
        Pairs(*document["pairs"]),
        _time_from_json(document.get("stretch")),
        _time_from_json(document.get("long_stretch")),
        trusted=document.get("trusted", True),
        firsts=_firsts_from_json(document.get("firsts")),
        long_firsts=_firsts_from_json(document.get("long_firsts")),
        unknown=document.get("unknown", 0),
        weighings=tuple(Weighing(*each) for each in document.get("weighings", ())),
    )


def _counts_to_json(counts: Counts) -> dict[str, Any]:
    return {
        "requests": counts.requests,
        "errors": counts.errors,
        "latency": list(counts.latency),
        "predictions": dict(counts.predictions),
        "feedback": {name: [sums.count, sums.total, sums.squares] for name, sums in counts.feedback.items()},
        "given_up": list(counts.given_up),
        "units": _units_to_json(counts.units),
        "long_units": _units_to_json(counts.long_units),
    }


def _units_to_json(units: Units | None) -> dict[str, Any] | None:
    if units is None:
        return None
    return {
        "count": units.count,
        "errors": units.errors,
        "latency": list(units.latency),
        "given_up": list(units.given_up),
        "predictions": dict(units.predictions),
        "keyless": units.keyless,
        "asked": units.asked,
        "failed": units.failed,
        "left": units.left,
    }


def _counts_from_json(document: Mapping[str, Any]) -> Counts:
    return Counts(
        document["requests"],
        document["errors"],
        tuple(document["latency"]),
        document["predictions"],
        {name: Sums(*sums) for name, sums in document["feedback"].items()},
        tuple(document.get("given_up", ())),
        _units_from_json(document.get("units")),
        _units_from_json(document.get("long_units")),
    )


def _units_from_json(document: Mapping[str, Any] | None) -> Units | None:
    if document is None:
        return None
    return Units(
        document["count"],
        document["errors"],
        tuple(document["latency"]),
        tuple(document["given_up"]),
        document["predictions"],
        document.get("keyless", 0),
        document.get("asked", 0),
        document.get("failed", 0.0),
        document.get("left", 0.0),
    )


def _firsts_to_json(firsts: tuple[Firsts, ...] | None) -> list[list[float]] | None:
    if firsts is None:
        return None
    return [[each.stable, each.stable_failed, each.candidate, each.candidate_failed] for each in firsts]


def _firsts_from_json(document: list[Any] | None) -> tuple[Firsts, ...] | None:
    return None if document is None else tuple(Firsts(*each) for each in document)


def _time_from_json(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None


def _added_units(left: Units | None, right: Units | None) -> Units | None:
    return left + right if left and right else left or right


def _added(left: tuple[N, ...], right: tuple[N, ...]) -> tuple[N, ...]:
    if not left or not right:
        return left or right
    return tuple(one + other for one, other in zip(left, right, strict=True))


def _added_by_name(left: Mapping[str, float], right: Mapping[str, float]) -> dict[str, float]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in sorted({*left, *right})}
