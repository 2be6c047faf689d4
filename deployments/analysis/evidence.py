"""What was counted: the only input of a judgement, kept in the journal so that a verdict can be reached again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

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
class Counts:
    """What one version did in some stretch of time.

    `requests` came through the split, or were mirrored to the version; `errors` of them ended with 5xx. `latency`
    counts answers by bucket (len(LATENCY_BOUNDS_MS) + 1 numbers, or none if nobody measured). `predictions` counts
    answered rows by what was predicted: a class label, or the name of a bin. `feedback` holds what users pushed, by
    metric.
    """

    requests: int = 0
    errors: int = 0
    latency: tuple[int, ...] = ()
    predictions: Mapping[str, int] = field(default_factory=dict)
    feedback: Mapping[str, Sums] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            self.errors + other.errors,
            _added(self.latency, other.latency),
            {
                name: self.predictions.get(name, 0) + other.predictions.get(name, 0)
                for name in sorted({*self.predictions, *other.predictions})
            },
            {
                name: self.feedback.get(name, Sums()) + other.feedback.get(name, Sums())
                for name in sorted({*self.feedback, *other.feedback})
            },
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
class Block:
    """What both versions did between two looks, while the split stood still.

    `share` is the candidate's configured share of the split, 0–1; None where the split is not by chance (a header
    match), so that it cannot be tested. `step` is the position of the plan's step that was under way.
    """

    start: datetime
    end: datetime
    step: int
    share: float | None
    stable: Counts
    candidate: Counts
    pairs: Pairs = Pairs()


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
    }


def block_from_json(document: Mapping[str, Any]) -> Block:
    """The block that `block_to_json` wrote."""
    return Block(
        datetime.fromisoformat(document["start"]),
        datetime.fromisoformat(document["end"]),
        document["step"],
        document["share"],
        _counts_from_json(document["stable"]),
        _counts_from_json(document["candidate"]),
        Pairs(*document["pairs"]),
    )


def _counts_to_json(counts: Counts) -> dict[str, Any]:
    return {
        "requests": counts.requests,
        "errors": counts.errors,
        "latency": list(counts.latency),
        "predictions": dict(counts.predictions),
        "feedback": {name: [sums.count, sums.total, sums.squares] for name, sums in counts.feedback.items()},
    }


def _counts_from_json(document: Mapping[str, Any]) -> Counts:
    return Counts(
        document["requests"],
        document["errors"],
        tuple(document["latency"]),
        document["predictions"],
        {name: Sums(*sums) for name, sums in document["feedback"].items()},
    )


def _added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    if not left or not right:
        return left or right
    return tuple(one + other for one, other in zip(left, right, strict=True))
