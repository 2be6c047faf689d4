"""Blocks as arrays: how many there were in each version, and how many of them went badly."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Sums
from deployments.spec import MetricRule

Array = NDArray[np.float64]
BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1
_UNMEASURED: Final = (0,) * BUCKETS
_NOTHING: Final = Sums()
_SLOWER: Final = np.tri(BUCKETS, BUCKETS - 1, -1)  # which buckets lie beyond which bound
# Labels are named by the first blocks with so many predictions; what comes up later is one more label.
NAMING_ROWS: Final = 100


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Both versions, block by block.

    `stable` and `candidate` are how many there were, shape (blocks,); `stable_bad` and `candidate_bad` how many of
    them went badly: shape (blocks,), or (blocks, kinds) where several kinds of bad are counted. Values between 0 and 1
    count as that part of a bad one.
    """

    stable: Array
    stable_bad: Array
    candidate: Array
    candidate_bad: Array

    def swapped(self) -> "Arms":
        """The same with the roles exchanged."""
        return Arms(self.candidate, self.candidate_bad, self.stable, self.stable_bad)


def requests(blocks: Sequence[Block]) -> Arms:
    """Requests, and the errors among them."""
    stable, candidate = _versions(blocks)
    answered, also_answered = _array(c.requests for c in stable), _array(c.requests for c in candidate)
    failed, also_failed = _array(c.errors for c in stable), _array(c.errors for c in candidate)
    return Arms(answered, np.minimum(failed, answered), also_answered, np.minimum(also_failed, also_answered))


def latencies(blocks: Sequence[Block]) -> Arms:
    """Measured answers, and by bound of LATENCY_BOUNDS_MS those slower than it, shape (blocks, bounds)."""
    stable, candidate = (_buckets(counts) for counts in _versions(blocks))
    return Arms(stable.sum(axis=1), _slower(stable), candidate.sum(axis=1), _slower(candidate))


def predictions(blocks: Sequence[Block]) -> tuple[Arms, tuple[str, ...]]:
    """Answered rows by what was predicted, shape (blocks, labels), and the labels; the last one is all the others.

    The labels are those of the first blocks with NAMING_ROWS rows in all. These blocks are left out: a label must be
    chosen before it is bet on.
    """
    stable, candidate = (_array(sum(c.predictions.values()) for c in counts) for counts in _versions(blocks))
    begin = int(np.searchsorted(np.cumsum(stable + candidate), NAMING_ROWS)) + 1
    naming = (counts.predictions for version in _versions(blocks[:begin]) for counts in version)
    labels = sorted({label for predicted in naming for label in predicted})
    stable_rest, candidate_rest = _versions(blocks[begin:])
    return Arms(
        stable[begin:],
        _by_label(stable_rest, stable[begin:], labels),
        candidate[begin:],
        _by_label(candidate_rest, candidate[begin:], labels),
    ), (*labels, "any other")


def feedback(blocks: Sequence[Block], rule: MetricRule) -> Arms:
    """Values of `rule`'s metric, scaled by its range so that 0 is the best and 1 the worst."""
    name = rule.metric.removeprefix("feedback.")
    stable, candidate = ([c.feedback.get(name, _NOTHING) for c in counts] for counts in _versions(blocks))
    return Arms(*_bad_values(stable, rule), *_bad_values(candidate, rule))


def pairs(blocks: Sequence[Block]) -> tuple[Array, Array, Array, Array]:
    """Mirrored pairs: all, those that differ, and those with only the stable version, or only the candidate, right."""
    compared, disagreed = _array(b.pairs.compared for b in blocks), _array(b.pairs.disagreed for b in blocks)
    only_stable = _array(b.pairs.only_stable_right for b in blocks)
    return compared, disagreed, only_stable, _array(b.pairs.only_candidate_right for b in blocks)


def _versions(blocks: Sequence[Block]) -> tuple[list[Counts], list[Counts]]:
    return [block.stable for block in blocks], [block.candidate for block in blocks]


def _array(numbers: Iterable[float]) -> Array:
    return np.fromiter(numbers, np.float64)


def _bad_values(sums: Sequence[Sums], rule: MetricRule) -> tuple[Array, Array]:
    low, high = rule.range
    count = _array(each.count for each in sums)
    scaled = np.clip((_array(each.total for each in sums) - count * low) / (high - low), 0, count)
    return count, count - scaled if rule.better == "higher" else scaled


def _buckets(counts: Sequence[Counts]) -> Array:
    return np.array([each.latency or _UNMEASURED for each in counts], np.float64).reshape(-1, BUCKETS)


def _slower(buckets: Array) -> Array:
    return buckets @ _SLOWER


def _by_label(counts: Sequence[Counts], rows: Array, labels: Sequence[str]) -> Array:
    known = chain.from_iterable((each.predictions.get(label, 0) for label in labels) for each in counts)
    table = np.fromiter(known, np.float64, len(counts) * len(labels)).reshape(len(counts), len(labels))
    return np.column_stack((table, rows - table.sum(axis=1)))
