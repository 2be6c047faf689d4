"""What a difference lies between, at every moment at once: the deltas that no bet has refuted."""

from collections.abc import Callable
from typing import Final

import numpy as np

from deployments.analysis.rate_difference import WIDEST, Comparison, log_e_above, log_e_below

_STANDARD_ERRORS: Final = 4  # about as far as a bound is away
_HALVINGS: Final = 5


def lower_bound(comparison: Comparison, log_needed: float) -> float:
    """What candidate minus stable is at least: the deltas below are refuted by `log_e_above` >= `log_needed`.

    Wrong at any moment at all with a chance of at most exp(-log_needed); -1 where nothing is known. Rounded outwards,
    by about a tenth of a standard error.
    """
    return -_bound(lambda delta: log_e_above(comparison, -delta) >= log_needed, comparison, -comparison.observed)


def upper_bound(comparison: Comparison, log_needed: float) -> float:
    """What candidate minus stable is at most; as `lower_bound`, and 1 where nothing is known."""
    return _bound(lambda delta: log_e_below(comparison, delta) >= log_needed, comparison, comparison.observed)


def _bound(is_refuted: Callable[[float], bool], comparison: Comparison, start: float) -> float:
    """Where the deltas above `start` begin to be refuted; 1 where they never do."""
    width = _STANDARD_ERRORS * _standard_error(comparison)
    inner, outer = start, min(start + width, WIDEST)
    while not is_refuted(outer):
        if outer >= WIDEST:
            return 1.0
        width *= 2
        inner, outer = outer, min(outer + width, WIDEST)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if is_refuted(middle) else (middle, outer)
    return outer


def _standard_error(comparison: Comparison) -> float:
    arms = comparison.arms
    counts = arms.stable.sum(), arms.candidate.sum()
    if not all(counts):
        return 1.0
    rate = (arms.stable_bad.sum() + arms.candidate_bad.sum() + 1) / (sum(counts) + 2)
    return float(np.sqrt(rate * (1 - rate) * sum(1 / count for count in counts)))
