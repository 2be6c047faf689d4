"""Evidence about one share alone: is it above, or below, a bound?

A mixture of likelihood ratios over a Beta distribution cut off at the bound (Robbins 1970; Howard & Ramdas 2022).
Exact at every moment, also when the share moves, as long as it stays on its side of the bound.
"""

import math

from scipy.special import betainc, betaln, xlogy


def log_e_above(bad: float, total: float, bound: float) -> float:
    """Log of the e-value against "the share of bad ones is at most `bound`".

    Infinite when `bound` is 0 and a bad one was seen; 0 when `bound` is 1 or more, which nothing exceeds.
    """
    if bound >= 1:
        return 0.0
    if bound <= 0:
        return math.inf if bad > 0 else 0.0
    a, b = _prior(bound)
    return (
        _log_e(bad, total, bound) + _log(betainc(b + total - bad, a + bad, 1 - bound)) - _log(betainc(b, a, 1 - bound))
    )


def log_e_below(bad: float, total: float, bound: float) -> float:
    """Log of the e-value against "the share of bad ones is at least `bound`"; 0 when `bound` is 0."""
    if bound <= 0:
        return 0.0
    if bound >= 1:
        return math.inf if bad < total else 0.0
    a, b = _prior(bound)
    return _log_e(bad, total, bound) + _log(betainc(a + bad, b + total - bad, bound)) - _log(betainc(a, b, bound))


def _log_e(bad: float, total: float, bound: float) -> float:
    a, b = _prior(bound)
    mixture = betaln(a + bad, b + total - bad) - betaln(a, b)
    return float(mixture - xlogy(bad, bound) - (total - bad) * math.log1p(-bound))


def _prior(bound: float) -> tuple[float, float]:
    """A share beyond its bound is expected at about three times the bound."""
    return 1.0, max(1.0, 1 / (3 * bound))


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
