from math import log

import numpy as np
import pytest

from deployments.analysis.block_counts import Arms
from deployments.analysis.confidence_sequence import lower_bound, upper_bound
from deployments.analysis.rate_difference import compare
from tests.unit.deployments.analysis.nulls import arms

NEEDED = log(20)


def _simulated(chance: np.random.Generator, blocks: int, rates: tuple[float, float]) -> Arms:
    stable, candidate = np.full(blocks, 900.0), np.full(blocks, 100.0)
    return Arms(
        stable,
        chance.binomial(900, rates[0], blocks).astype(float),
        candidate,
        chance.binomial(100, rates[1], blocks).astype(float),
    )


@pytest.mark.parametrize("rates", [(0.005, 0.005), (0.02, 0.05), (0.3, 0.1)])
def test_the_truth_lies_between_the_bounds_in_nearly_all_runs(rates: tuple[float, float]) -> None:
    chance, truth = np.random.default_rng(7), rates[1] - rates[0]
    missed = 0
    for _ in range(40):
        comparison = compare(_simulated(chance, 40, rates), 0.005)
        missed += not lower_bound(comparison, NEEDED) <= truth <= upper_bound(comparison, NEEDED)
    assert missed <= 0.1 * 40  # each bound may be wrong in 5 % of the runs


def test_more_traffic_brings_the_bounds_together() -> None:
    chance = np.random.default_rng(3)
    widths = []
    for blocks in (5, 50, 500):
        comparison = compare(_simulated(chance, blocks, (0.01, 0.02)), 0.005)
        widths.append(upper_bound(comparison, NEEDED) - lower_bound(comparison, NEEDED))
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01


def test_more_confidence_takes_wider_bounds() -> None:
    comparison = compare(_simulated(np.random.default_rng(1), 30, (0.01, 0.03)), 0.005)
    assert upper_bound(comparison, log(1000)) > upper_bound(comparison, NEEDED) > comparison.observed
    assert lower_bound(comparison, log(1000)) < lower_bound(comparison, NEEDED) < comparison.observed


@pytest.mark.parametrize("blocks", [(), ((0, 0, 5, 5),), ((10**9, 3, 0, 0),)])
def test_nothing_known_bounds_nothing(blocks: tuple[tuple[float, float, float, float], ...]) -> None:
    comparison = compare(arms(*blocks), 0.005)
    assert (lower_bound(comparison, NEEDED), upper_bound(comparison, NEEDED)) == (-1.0, 1.0)
