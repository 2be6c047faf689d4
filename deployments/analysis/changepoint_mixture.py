"""Harm may begin late: a part of the wealth is kept back for every time from which on the candidate may be bad.

A bet that lost all through a healthy day would take hours to see a sudden failure. So the bets begin anew with every
sixth block. The first ones have nine tenths of the wealth; of the rest the i-th later beginning has 1 / (i (i + 1)).
What is not yet bet is still there, so that all parts together are an e-value again.
"""

from typing import Final

import numpy as np

from deployments.analysis.block_counts import Array

_APART: Final = 6  # blocks from one beginning to the next: a minute of looks every 10 s
_LATER: Final = 0.1  # part of the wealth that is kept back for later beginnings


def sums_since_each_start(numbers: Array) -> Array:
    """Sums over the first axis of `numbers` (blocks, ...) from each beginning to the end, (beginnings, ...)."""
    between = np.add.reduceat(numbers, np.arange(0, len(numbers), _APART), axis=0)
    sums: Array = np.cumsum(between[::-1], axis=0)[::-1]
    return sums


def log_mixture(logs: Array) -> Array:
    """Log of the wealth of the bets from all beginnings, whose own logs are `logs` (beginnings, ...)."""
    if not len(logs):
        return np.zeros(logs.shape[1:])
    later = np.arange(1, len(logs))
    parts = np.log(np.concatenate(([1 - _LATER], _LATER / (later * (later + 1)))))
    kept_back = np.log(_LATER / len(logs))
    wealth: Array = np.logaddexp(np.logaddexp.reduce((logs.T + parts).T, axis=0), kept_back)
    return wealth
