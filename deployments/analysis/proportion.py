"""Evidence about one share alone: is it above, or below, a bound?

A mixture of likelihood ratios over a Beta distribution cut off at the bound (Robbins 1970; Howard & Ramdas 2022).
Exact at every moment, also when the share moves, as long as it stays on its side of the bound.
"""

import math
from typing import Final

import numpy as np
from scipy.special import betainc, betaln, xlogy

from deployments.analysis.block_counts import Array, Starts
from deployments.analysis.changepoint_mixture import log_mixture, sums_since_each_start

_SMALLEST: Final = 1e-9  # bound for which a share beyond is expected at three times it


def log_e_above(bad: float, total: float, bound: float) -> float:
    """Log of the e-value against "the share of bad ones is at most `bound`".

    Infinite when `bound` is 0 and a bad one was seen; 0 when `bound` is 1 or more, which nothing exceeds.
    """
    return float(_logs_above(np.array([bad], np.float64), np.array([total], np.float64), bound)[0])


def log_e_ever_above(bad: Array, total: Array, bound: float) -> float:
    """As `log_e_above`, from the counts of each block, and quick to see a share that only rose after many."""
    return float(log_mixture(_logs_above(sums_since_each_start(bad), sums_since_each_start(total), bound)))


def log_e_in_each(bad: Array, total: Array, bound: float, starts: Starts) -> Array:
    """As `log_e_above`, of each of the stretches that begin with the blocks `starts`; shape (stretches,)."""
    return _logs_above(np.add.reduceat(bad, starts), np.add.reduceat(total, starts), bound)


def log_e_below(bad: float, total: float, bound: float) -> float:
    """Log of the e-value against "the share of bad ones is at least `bound`"; 0 when `bound` is 0."""
    if bound <= 0:
        return 0.0
    if bound >= 1:
        return math.inf if bad < total else 0.0
    a, b = _prior(bound)
    logs = _logs(np.asarray(bad, np.float64), np.asarray(total, np.float64), bound)
    return float(logs + _log(betainc(a + bad, b + total - bad, bound)) - _log(betainc(a, b, bound)))


def _logs_above(bad: Array, total: Array, bound: float) -> Array:
    if bound >= 1:
        return np.zeros(len(bad))
    if bound <= 0:
        return np.where(bad > 0, math.inf, 0.0)
    a, b = _prior(bound)
    beyond = betainc(b + total - bad, a + bad, 1 - bound)
    return _logs(bad, total, bound) + _log(beyond) - _log(betainc(b, a, 1 - bound))


def _logs(bad: Array, total: Array, bound: float) -> Array:
    a, b = _prior(bound)
    mixture = betaln(a + bad, b + total - bad) - betaln(a, b)
    logs: Array = mixture - xlogy(bad, bound) - (total - bad) * math.log1p(-bound)
    return logs


def _prior(bound: float) -> tuple[float, float]:
    """A share beyond its bound is expected at about three times the bound."""
    return 1.0, max(1.0, 1 / (3 * max(bound, _SMALLEST)))


def _log(probability: Array) -> Array:
    with np.errstate(divide="ignore"):
        log: Array = np.log(probability)
    return log
