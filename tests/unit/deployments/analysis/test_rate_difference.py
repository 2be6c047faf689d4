from itertools import product
from math import exp, log

import numpy as np
import pytest

from deployments.analysis.rate_difference import compare, growth, log_e_above, log_e_below
from tests.unit.deployments.analysis.nulls import arms, expected_of_both, logs_by_outcome

PASTS = [(), ((200, 1, 20, 4),), ((50, 20, 50, 5), (10, 0, 90, 1))]
SIZES = [(1, 1), (12, 2), (3, 10)]
RATES = (0.0, 0.01, 0.1, 0.5, 0.9, 1.0)


@pytest.mark.parametrize("delta", [-0.2, 0.0, 0.01, 0.3])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("past", PASTS)
def test_nothing_up_to_delta_is_expected_to_gain_evidence_of_more(
    past: tuple[tuple[float, ...], ...], sizes: tuple[int, int], delta: float
) -> None:
    before = log_e_above(compare(arms(*past), 0.005), delta)

    def gained(bad: int, own: int) -> float:
        return log_e_above(compare(arms(*past, (sizes[0], bad, sizes[1], own)), 0.005), delta) - before

    logs = logs_by_outcome(gained, sizes)
    for stable, less in product(RATES, (0.0, 0.2)):
        candidate = stable + delta - less
        if 0 <= candidate <= 1:
            assert expected_of_both(logs, (stable, candidate)) <= 1 + 1e-9


@pytest.mark.parametrize("delta", [-0.2, 0.0, 0.01, 0.3])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("past", PASTS)
def test_nothing_from_delta_on_is_expected_to_gain_evidence_of_less(
    past: tuple[tuple[float, ...], ...], sizes: tuple[int, int], delta: float
) -> None:
    before = log_e_below(compare(arms(*past), 0.005), delta)

    def gained(bad: int, own: int) -> float:
        return log_e_below(compare(arms(*past, (sizes[0], bad, sizes[1], own)), 0.005), delta) - before

    logs = logs_by_outcome(gained, sizes)
    for stable, more in product(RATES, (0.0, 0.2)):
        candidate = stable + delta + more
        if 0 <= candidate <= 1:
            assert expected_of_both(logs, (stable, candidate)) <= 1 + 1e-9


def test_values_between_0_and_1_gain_no_more_than_whole_ones() -> None:
    values, chances = (0.0, 0.5, 1.0), (0.3, 0.3, 0.4)
    total = 0.0
    for drawn in product(range(3), repeat=5):  # three of stable, two of the candidate
        chance = np.prod([chances[each] for each in drawn])
        stable, candidate = (sum(values[each] for each in part) for part in (drawn[:3], drawn[3:]))
        total += chance * exp(log_e_above(compare(arms((40, 8, 40, 30), (3, stable, 2, candidate)), 0.5), 0.0))
    before = exp(log_e_above(compare(arms((40, 8, 40, 30)), 0.5), 0.0))
    assert total <= before * (1 + 1e-9)


def test_a_difference_beyond_delta_is_proved() -> None:
    comparison = compare(arms(*[(475, 2, 25, 2)] * 20), 0.005)
    assert log_e_above(comparison, 0.01) > log(1000)
    assert log_e_below(comparison, 0.01) < 0


def test_a_handful_of_failures_of_few_is_proof_at_once() -> None:
    """Of ten users of the candidate four fail in one look, and of 190 others one."""
    assert log_e_above(compare(arms((190, 1, 10, 4)), 0.005), 0.01) > log(1000)
    assert log_e_above(compare(arms((190, 1, 10, 1)), 0.005), 0.01) < log(20)


def test_no_difference_is_proved_to_be_below_a_margin() -> None:
    comparison = compare(arms(*[(450, 2, 50, 0), (450, 3, 50, 0), (450, 2, 50, 1), (450, 2, 50, 0)] * 15), 0.005)
    assert log_e_below(comparison, 0.01) > log(20)
    assert log_e_above(comparison, 0.01) < 0


@pytest.mark.parametrize("block", [(0, 0, 0, 0), (10**9, 5, 0, 0), (0, 0, 10**9, 10**9)])
def test_one_version_alone_is_no_evidence(block: tuple[float, float, float, float]) -> None:
    comparison = compare(arms(block, block), 0.005)
    assert (log_e_above(comparison, 0.01), log_e_below(comparison, 0.01)) == (pytest.approx(0), pytest.approx(0))
    assert comparison.observed == 0


@pytest.mark.parametrize("delta", [-1.0, -0.999, 0.0, 0.999, 1.0, 50.0])
@pytest.mark.parametrize("block", [(10**9, 10**9, 10**9, 0), (10**9, 0, 10**9, 10**9), (10**9, 0, 1, 1)])
def test_extreme_counts_and_deltas_give_numbers(block: tuple[float, float, float, float], delta: float) -> None:
    comparison = compare(arms(block, block, block), 0.005)
    assert not np.isnan([log_e_above(comparison, delta), log_e_below(comparison, delta)]).any()


def test_forecasts_come_from_earlier_blocks_only() -> None:
    quiet, loud = arms((100, 0, 100, 0), (100, 0, 100, 0)), arms((100, 0, 100, 0), (100, 99, 100, 1))
    assert np.array_equal(compare(quiet, 0.005).stable_rate, compare(loud, 0.005).stable_rate)
    assert np.array_equal(compare(quiet, 0.005).candidate_rate, compare(loud, 0.005).candidate_rate)


def test_no_growth_is_expected_at_or_beyond_the_margin() -> None:
    assert growth((0.005, 0.005), 0.1, 0.01) > 0
    assert growth((0.005, 0.015), 0.1, 0.01) == pytest.approx(0, abs=1e-12)
    assert growth((0.005, 0.005), 0.1, 0.0) == pytest.approx(0, abs=1e-12)
