from math import inf, log

import numpy as np
import pytest

from deployments.analysis.proportion import log_e_above, log_e_below
from tests.unit.deployments.analysis.nulls import expected_e


@pytest.mark.parametrize("bound", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("total", [1, 10, 200])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_share_within_its_bound_is_not_expected_to_gain_evidence(bound: float, total: int, part: float) -> None:
    above = np.array([log_e_above(bad, total, bound) for bad in range(total + 1)])
    below = np.array([log_e_below(bad, total, bound) for bad in range(total + 1)])
    assert expected_e(above, part * bound) <= 1 + 1e-9
    assert expected_e(below, 1 - part * (1 - bound)) <= 1 + 1e-9


def test_a_share_beyond_its_bound_is_proved() -> None:
    assert log_e_above(40, 200, 0.1) > log(300)
    assert log_e_below(2, 200, 0.1) > log(300)


def test_more_bad_ones_are_more_evidence_above_and_less_below() -> None:
    above = [log_e_above(bad, 50, 0.1) for bad in range(51)]
    below = [log_e_below(bad, 50, 0.1) for bad in range(51)]
    assert above == sorted(above)
    assert below == sorted(below, reverse=True)


def test_bounds_at_the_edges() -> None:
    assert log_e_above(0, 100, 0.0) == 0
    assert log_e_above(1, 100, 0.0) == inf  # a single one refutes "never"
    assert log_e_below(0, 100, 0.0) == 0
    assert log_e_above(100, 100, 1.0) == 0
    assert log_e_below(99, 100, 1.0) == inf


@pytest.mark.parametrize("bad", [0, 1, 10**8, 10**9])
def test_huge_counts_give_numbers(bad: int) -> None:
    for bound in (1e-4, 0.1, 0.999):
        assert log_e_above(bad, 10**9, bound) == log_e_above(bad, 10**9, bound)
        assert log_e_below(bad, 10**9, bound) == log_e_below(bad, 10**9, bound)


@pytest.mark.parametrize("bound", [5e-324, 1e-309, 1e-300, 1e-12])
def test_bounds_that_are_hardly_there_give_numbers(bound: float) -> None:
    assert log_e_above(0, 2, bound) <= 0
    assert log_e_above(1, 2, bound) > log(1000)
    assert log_e_below(0, 2, bound) == pytest.approx(0, abs=1e-6)
