"""Evidence about a difference: by how much more often does the candidate go badly than the stable version?

A block e-variable after Turner, Ly & Grünwald (JSPI 2024, arXiv 2106.02693), written as a bet: against "candidate minus
stable is at most delta", every request of a block multiplies the wealth by

    1 + lambda_c · (bad - t - delta)   if the candidate answered it,
    1 - lambda_s · (bad - t)           if the stable version did,      with n_c · lambda_c = n_s · lambda_s,

where t and the stakes are chosen from earlier blocks only. The mean is at most 1 for any t and any stakes
(docs/statistics.md has the proof), so that choosing them badly costs power and never the guarantee. Values between 0
and 1 may stand for bad ones: their sum is all that is needed.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deployments.analysis.block_counts import Arms, Array, Starts
from deployments.analysis.changepoint_mixture import log_mixture, sums_since_each_start

ERRORS_EXPECTED: Final = 0.005  # what is taken for the error rate until there are counts
VALUES_EXPECTED: Final = 0.5  # likewise for values pushed by users
_EDGE: Final = 1e-6  # rates keep this distance from 0 and 1
WIDEST: Final = 0.999  # no difference beyond is looked at
_BOLDEST: Final = 0.9  # part of the wealth that a single request may cost
_LARGEST_GUESS: Final = 0.1  # of a separation; rates near a half seldom move by more
_FAR: Final = 0.3  # of what is left up to 1: a separation that a handful of bad ones shows
# Of the wealth: on what is typical, on what the blocks before forecast, and, for harm, on what is far beyond.
_PARTS_ABOVE: Final = np.log([0.55, 0.25, 0.2])
_PARTS_BELOW: Final = np.log([0.75, 0.25])
_PASSES: Final = 2  # of the projection; more change nothing that matters
ONE_STRETCH: Final[Starts] = np.zeros(1, np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Blocks in which both versions took part, with the rates forecast for each from the ones before; (blocks,).

    `stretch` is the position of each block's stretch: forecasts rest on blocks of the same one only.
    """

    arms: Arms
    stable_rate: Array
    candidate_rate: Array
    informed: NDArray[np.bool_]  # whether the forecast rests on counts of the stable version
    stretch: Starts

    @property
    def observed(self) -> float:
        """Candidate minus stable over all blocks; 0 where one of them has nothing."""
        arms = self.arms
        if not arms.stable.sum() or not arms.candidate.sum():
            return 0.0
        return float(arms.candidate_bad.sum() / arms.candidate.sum() - arms.stable_bad.sum() / arms.stable.sum())


def compare(arms: Arms, expected: float, starts: Starts = ONE_STRETCH) -> Comparison:
    """`arms` (one kind of bad) with forecasts; `expected` is the rate (0-1) that is taken until there are counts."""
    weight = 1 / expected
    before = _before(arms.stable, starts)
    stable = (_before(arms.stable_bad, starts) + expected * weight) / (before + weight)
    candidate = (_before(arms.candidate_bad, starts) + stable * weight) / (_before(arms.candidate, starts) + weight)
    both = (arms.stable > 0) & (arms.candidate > 0)
    kept = Arms(arms.stable[both], arms.stable_bad[both], arms.candidate[both], arms.candidate_bad[both])
    stretch = np.searchsorted(starts, np.arange(len(both)), side="right") - 1
    return Comparison(kept, stable[both], candidate[both], before[both] > 0, stretch[both])


def log_e_above(comparison: Comparison, delta: float) -> float:
    """Log of the e-value against "candidate minus stable is at most `delta`"; 0 without blocks."""
    delta = max(-WIDEST, min(delta, WIDEST))
    return float(_shared(_log_factors(comparison, delta, _bets_above(comparison, delta)).sum(axis=1), _PARTS_ABOVE))


def log_e_ever_above(comparison: Comparison, delta: float) -> float:
    """As `log_e_above`, and quick to see a difference that only began after many blocks without one."""
    delta = max(-WIDEST, min(delta, WIDEST))
    factors = _log_factors(comparison, delta, _bets_above(comparison, delta))
    return float(log_mixture(_shared(sums_since_each_start(factors.T).T, _PARTS_ABOVE)))


def log_e_in_each(comparison: Comparison, delta: float, stretches: int) -> Array:
    """As `log_e_above`, of each of so many stretches by itself; shape (stretches,)."""
    delta = max(-WIDEST, min(delta, WIDEST))
    factors = _log_factors(comparison, delta, _bets_above(comparison, delta))
    return _shared(np.stack([np.bincount(comparison.stretch, bet, stretches) for bet in factors]), _PARTS_ABOVE)


def log_e_below(comparison: Comparison, delta: float) -> float:
    """Log of the e-value against "candidate minus stable is at least `delta`"; 0 without blocks."""
    delta = max(-WIDEST, min(delta, WIDEST))
    return float(_shared(_log_factors(comparison, delta, _bets_below(comparison, delta)).sum(axis=1), _PARTS_BELOW))


def growth(rates: tuple[float, float], share: float, delta: float) -> float:
    """Expected growth of `log_e_below` per request of both versions, of which `share` (0-1) meet the candidate.

    `rates` are the stable version's and the candidate's. At most 0 where the question can never be settled.
    """
    stable_rate, candidate_rate = rates
    stable, candidate = np.array([1 - share]), np.array([share])
    arms = Arms(stable, stable * stable_rate, candidate, candidate * candidate_rate)
    rates_of_one = np.array([stable_rate]), np.array([candidate_rate])
    one_request = Comparison(arms, *rates_of_one, np.array([True]), ONE_STRETCH)
    return float(_log_factors(one_request, delta, _bets_below(one_request, delta)).max())


def _before(counts: Array, starts: Starts) -> Array:
    """What the blocks of the same stretch had counted before each block."""
    before = np.cumsum(counts) - counts
    if len(starts) <= 1:
        return before
    of_others: Array = np.repeat(before[starts], np.diff(starts, append=len(counts)))
    return before - of_others


def _bets_above(comparison: Comparison, delta: float) -> Array:
    """The separations that are bet on, (3, blocks).

    Several times what is allowed but a tenth at most, the one forecast, and one that is far beyond: forecasts move
    slowly, and few users that fail at every turn leave no time for them.
    """
    bound = np.clip(comparison.stable_rate + delta, _EDGE, 1 - _EDGE)
    as_before = np.maximum(comparison.candidate_rate - comparison.stable_rate - delta, 0)
    return np.stack((np.minimum(2 * bound * (1 - bound), _LARGEST_GUESS), as_before, _FAR * (1 - bound)))


def _bets_below(comparison: Comparison, delta: float) -> Array:
    """The separations that are bet on: no difference at all, and the one forecast; (2, blocks).

    Nothing is bet on a block without counts before it: promotion can wait for them, and harm cannot.
    """
    no_different = np.where(comparison.informed, min(-delta, 0), 0.0)
    return np.stack((no_different, np.minimum(comparison.candidate_rate - comparison.stable_rate - delta, 0)))


def _shared(logs: Array, parts: Array) -> Array:
    """Log of the wealth of all bets (the first axis) together, begun with unequal `parts`, told as logs."""
    wealth: Array = np.logaddexp.reduce((logs.T + parts).T, axis=0)
    return wealth


def _log_factors(comparison: Comparison, delta: float, separation: Array) -> Array:
    """Logs of what each block multiplies the wealth by, betting that the candidate lies `separation` beyond delta.

    Below delta if negative; (bets, blocks).
    """
    arms = comparison.arms
    base = _base(comparison, delta, separation)
    bound = base + delta
    stake = separation / (_variance(bound) / arms.candidate + _variance(base) / arms.stable)
    most = np.minimum(arms.candidate / bound, arms.stable / (1 - base))
    least = np.minimum(arms.candidate / (1 - bound), arms.stable / base)
    stake = np.minimum(np.maximum(stake, -_BOLDEST * least), _BOLDEST * most)
    on_candidate, on_stable = stake / arms.candidate, stake / arms.stable
    logs: Array = (
        arms.candidate_bad * np.log1p(on_candidate * (1 - bound))
        + (arms.candidate - arms.candidate_bad) * np.log1p(-on_candidate * bound)
        + arms.stable_bad * np.log1p(-on_stable * (1 - base))
        + (arms.stable - arms.stable_bad) * np.log1p(on_stable * base)
    )
    return logs


def _base(comparison: Comparison, delta: float, separation: Array) -> Array:
    """The stable rate t that makes "exactly delta" hardest to tell from the forecast: its reverse KL projection."""
    low, high = _EDGE + max(0, -delta), 1 - _EDGE - max(0, delta)
    lowest = np.maximum(comparison.stable_rate / 8, low)
    base = np.minimum(np.maximum(comparison.stable_rate, low), high)
    for _ in range(_PASSES):
        by_candidate = comparison.arms.candidate / _variance(base + delta)
        by_stable = comparison.arms.stable / _variance(base)
        moved = comparison.stable_rate + separation * (by_candidate / (by_candidate + by_stable))
        base = np.minimum(np.maximum(moved, lowest), high)
    return base


def _variance(rate: Array) -> Array:
    return rate * (1 - rate)
