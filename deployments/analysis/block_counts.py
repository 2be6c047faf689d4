"""Blocks as arrays: how many units there were in each version, and how many of them went badly."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import chain
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Firsts, Sums, Units
from deployments.spec import MetricRule

Array = NDArray[np.float64]
Starts = NDArray[np.intp]  # the positions of the blocks with which stretches begin
BUCKETS: Final = len(LATENCY_BOUNDS_MS) + 1
_UNMEASURED: Final = (0,) * BUCKETS
_NOTHING: Final = Sums()
_NOBODY: Final = Firsts(0, 0, 0, 0)
_SLOWER: Final = np.tri(BUCKETS, BUCKETS - 1, -1)  # which buckets lie beyond which bound
# Labels are named by the first blocks with so many predictions; what comes up later is one more label.
NAMING_ROWS: Final = 100


class Unit(Enum):
    """What is counted once."""

    REQUEST = auto()
    SHORT = auto()  # a user in a short stretch, and a request without a key
    LONG = auto()  # likewise in the long stretch


@dataclass(frozen=True, slots=True, eq=False)
class Arms:
    """Both versions, block by block.

    `stable` and `candidate` are how many there were, shape (blocks,); `stable_bad` and `candidate_bad` how many of
    them went badly: shape (blocks,), or (blocks, kinds) where several kinds of bad are counted. All four have shape
    (blocks, kinds) where not every unit says something of every kind. Values between 0 and 1 count as that part of a
    bad one.
    """

    stable: Array
    stable_bad: Array
    candidate: Array
    candidate_bad: Array

    @property
    def columns(self) -> tuple[Array, Array, Array, Array]:
        """All four."""
        return self.stable, self.stable_bad, self.candidate, self.candidate_bad

    def swapped(self) -> "Arms":
        """The same with the roles exchanged."""
        return Arms(self.candidate, self.candidate_bad, self.stable, self.stable_bad)


def errors(blocks: Sequence[Block], unit: Unit, given_up: float) -> Arms:
    """Units, and the errors among them; a request that its client gave up counts as the part `given_up` of one."""
    stable, candidate = _samples(blocks, unit)
    total, also_total = _array(each.count for each in stable), _array(each.count for each in candidate)
    failed, also_failed = _bad(stable, given_up), _bad(candidate, given_up)
    return Arms(total, np.minimum(failed, total), also_total, np.minimum(also_failed, also_total))


def at_risk(blocks: Sequence[Block], unit: Unit, given_up: float) -> Arms:
    """Units that had met nothing bad before, and the errors among them; otherwise as `errors`.

    Requests are all of that kind. Where nobody counts such users, each counts when he is closed.
    """
    if unit is Unit.REQUEST:
        return errors(blocks, unit, given_up)
    known = [_asked(version, given_up) for version in _samples(blocks, unit)]
    return Arms(*(np.minimum(each, total) for total, failed in known for each in (total, failed)))


def first_failures(blocks: Sequence[Block], unit: Unit, given_up: float) -> tuple[Arms, Starts]:
    """Users who came together, and those of them that met something bad for the first time; and where blocks begin.

    Every block has one row at least: (rows,) and (blocks,). Who fails when is decided without a look at the versions if
    these are alike, so that of users who came together each is as likely to be the candidate's as any other.
    """
    if unit is Unit.REQUEST:
        return errors(blocks, unit, given_up), np.arange(len(blocks))
    plain = errors(blocks, unit, given_up)
    rows: list[tuple[float, float, float, float]] = []
    starts: list[int] = []
    for position, block in enumerate(blocks):
        starts.append(len(rows))
        counted = block.long_firsts if unit is Unit.LONG else block.firsts
        if counted is None:
            a, b, c, d = (float(each[position]) for each in plain.columns)
            rows.append((a, b, c, d))
        else:
            rows.extend(
                (each.stable, each.stable_failed, each.candidate, each.candidate_failed)
                for each in counted or (_NOBODY,)
            )
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Arms(*table.T), np.array(starts, np.intp)


def latencies(blocks: Sequence[Block], unit: Unit) -> Arms:
    """Units with a time, and by bound of LATENCY_BOUNDS_MS those known to be slower than it, shape (blocks, bounds).

    A request that was given up is slower than every bound at or below its age. Of those above nothing is known: there
    it is left out. A user is never left out, so that he counts the same whatever he saw: what is not known of him
    counts as not slower.
    """
    arms = [_timed(samples, unit) for samples in _samples(blocks, unit)]
    (stable, slow), (candidate, also_slow) = arms
    if stable.ndim != candidate.ndim:
        stable, candidate = (
            np.broadcast_to(_columns(stable), slow.shape),
            np.broadcast_to(_columns(candidate), slow.shape),
        )
    return Arms(stable, slow, candidate, also_slow)


def predictions(blocks: Sequence[Block], unit: Unit) -> tuple[Arms, tuple[str, ...]]:
    """Units by what was predicted, shape (blocks, labels), and the labels; the last one is all the others.

    The labels are those of the first blocks with NAMING_ROWS units in all. These blocks are left out: a label must be
    chosen before it is bet on.
    """
    samples = _samples(blocks, unit)
    stable, candidate = (_array(sum(c.predictions.values()) for c in counts) for counts in samples)
    begin = int(np.searchsorted(np.cumsum(stable + candidate), NAMING_ROWS)) + 1
    naming = (counts.predictions for version in samples for counts in version[:begin])
    labels = sorted({label for predicted in naming for label in predicted})
    stable_rest, candidate_rest = (version[begin:] for version in samples)
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


def _samples(blocks: Sequence[Block], unit: Unit) -> tuple[Sequence[Counts | Units], Sequence[Counts | Units]]:
    if unit is Unit.REQUEST:
        return _versions(blocks)
    of = _of_long if unit is Unit.LONG else _of_short
    return [of(block.stable) for block in blocks], [of(block.candidate) for block in blocks]


def _of_short(counts: Counts) -> Units:
    return counts.as_units() if counts.units is None else counts.units


def _of_long(counts: Counts) -> Units:
    return _of_short(counts) if counts.long_units is None else counts.long_units


def _bad(samples: Sequence[Counts | Units], given_up: float) -> Array:
    failed = _array(each.errors for each in samples)
    return failed + given_up * _array(sum(each.given_up) for each in samples)


def _asked(samples: Sequence[Counts | Units], given_up: float) -> tuple[Array, Array]:
    counted = [each for each in samples if isinstance(each, Units)]
    if not any(each.asked for each in counted):
        return _array(each.count for each in samples), _bad(samples, given_up)
    return _array(each.asked for each in counted), _array(each.failed + given_up * each.left for each in counted)


def _timed(samples: Sequence[Counts | Units], unit: Unit) -> tuple[Array, Array]:
    """How many have a time, (blocks,) or (blocks, bounds), and how many are slower than each bound."""
    answered, left = _buckets([each.latency for each in samples]), _buckets([each.given_up for each in samples])
    slower = _slower(answered)
    if unit is not Unit.REQUEST:
        known = answered.any(axis=1) | left.any(axis=1)
        return np.where(known, _array(each.count for each in samples), 0.0), slower + _slower(left)
    if not left.any():
        return answered.sum(axis=1), slower
    return answered.sum(axis=1)[:, None] + _slower(left), slower + _slower(left)


def _columns(numbers: Array) -> Array:
    return numbers if numbers.ndim == 2 else numbers[:, None]


def _array(numbers: Iterable[float]) -> Array:
    return np.fromiter(numbers, np.float64)


def _bad_values(sums: Sequence[Sums], rule: MetricRule) -> tuple[Array, Array]:
    low, high = rule.range
    count = _array(each.count for each in sums)
    scaled = np.clip((_array(each.total for each in sums) - count * low) / (high - low), 0, count)
    return count, count - scaled if rule.better == "higher" else scaled


def _buckets(counts: Sequence[tuple[float, ...]]) -> Array:
    return np.array([each or _UNMEASURED for each in counts], np.float64).reshape(-1, BUCKETS)


def _slower(buckets: Array) -> Array:
    return buckets @ _SLOWER


def _by_label(counts: Sequence[Counts | Units], rows: Array, labels: Sequence[str]) -> Array:
    known = chain.from_iterable((each.predictions.get(label, 0) for label in labels) for each in counts)
    table = np.fromiter(known, np.float64, len(counts) * len(labels)).reshape(len(counts), len(labels))
    return np.column_stack((table, rows - table.sum(axis=1)))
