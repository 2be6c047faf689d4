"""The expectation of an e-value over every outcome of one block."""

from collections.abc import Callable
from math import comb

import numpy as np
from scipy.special import xlog1py, xlogy

from deployments.analysis.block_counts import Arms, Array


def arms(*blocks: tuple[float, ...]) -> Arms:
    """Blocks of (stable, stable bad, candidate, candidate bad)."""
    table = np.array(blocks, dtype=np.float64).reshape(-1, 4)
    return Arms(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def expected_e(logs: Array, rate: float) -> float:
    """Of e-values with these logs, by how many of len(logs) - 1 go badly, at `rate`."""
    return float(np.exp(_log_chances(len(logs) - 1, rate) + logs).sum())


def logs_by_outcome(log_e: Callable[[int, int], float], sizes: tuple[int, int]) -> Array:
    """`log_e(stable bad, candidate bad)` for every outcome of a block of these sizes (stable, candidate)."""
    return np.array([[log_e(stable, candidate) for candidate in range(sizes[1] + 1)] for stable in range(sizes[0] + 1)])


def expected_of_both(logs: Array, rates: tuple[float, float]) -> float:
    """Of the e-values with `logs_by_outcome`, at these rates (stable, candidate)."""
    stable, candidate = (_log_chances(size - 1, rate) for size, rate in zip(logs.shape, rates, strict=True))
    return float(np.exp(stable[:, None] + candidate[None, :] + logs).sum())


def _log_chances(count: int, rate: float) -> Array:
    bad = np.arange(count + 1)
    ways = np.array([np.log(float(comb(count, each))) for each in bad])
    with np.errstate(divide="ignore"):
        chances: Array = ways + xlogy(bad, rate) + xlog1py(count - bad, -rate)
    return chances
