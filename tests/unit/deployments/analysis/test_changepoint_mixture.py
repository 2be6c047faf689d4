"""Bets that begin anew stay bets that cannot be won, and see at once what began late."""

from collections.abc import Callable
from itertools import product
from math import log

import numpy as np
import pytest

from deployments.analysis import proportion, rate_difference, rate_ratio
from deployments.analysis.block_counts import Arms
from deployments.analysis.changepoint_mixture import log_mixture, sums_since_each_start
from tests.unit.deployments.analysis.nulls import arms, expected_of_both, logs_by_outcome

SIZES = (6, 3)
PAST = (40, 3, 20, 1)
HEALTHY, FAILING = (450, 2, 50, 0), (450, 2, 50, 12)


def by_ratio(counts: Arms) -> float:
    return float(rate_ratio.log_e_ever_above(counts, 1)[0])


def by_difference(counts: Arms) -> float:
    return rate_difference.log_e_ever_above(rate_difference.compare(counts, 0.005), 0.01)


def by_share(counts: Arms) -> float:
    return proportion.log_e_ever_above(counts.candidate_bad, counts.candidate, 0.1)


TESTS = [(by_ratio, lambda stable: stable), (by_difference, lambda stable: stable + 0.01), (by_share, lambda _: 0.1)]


@pytest.mark.parametrize("before", [0, 5, 6, 13])  # a new beginning comes with every sixth block
@pytest.mark.parametrize(("test", "allowed"), TESTS)
def test_nothing_allowed_is_expected_to_gain_evidence_by_bets_that_begin_anew(
    test: Callable[[Arms], float], allowed: Callable[[float], float], before: int
) -> None:
    past = [PAST] * before
    so_far = test(arms(*past))
    logs = logs_by_outcome(lambda bad, own: test(arms(*past, (SIZES[0], bad, SIZES[1], own))) - so_far, SIZES)
    for stable, part in product((0.0, 0.01, 0.2, 0.9), (0.3, 1.0)):
        assert expected_of_both(logs, (stable, part * allowed(stable))) <= 1 + 1e-9


@pytest.mark.parametrize("test", [test for test, _ in TESTS])
def test_harm_that_begins_after_a_healthy_day_is_seen_within_minutes(test: Callable[[Arms], float]) -> None:
    assert test(arms(*[HEALTHY] * 8640)) < log(20)
    assert test(arms(*[HEALTHY] * 8640, *[FAILING] * 18)) > log(1000)


def test_each_beginning_has_what_came_since() -> None:
    assert sums_since_each_start(np.arange(14.0)).tolist() == [91.0, 76.0, 25.0]
    assert sums_since_each_start(np.zeros((0, 3))).shape == (0, 3)


def test_bets_that_neither_win_nor_lose_keep_the_wealth() -> None:
    for beginnings in (0, 1, 7):
        assert log_mixture(np.zeros(beginnings)) == pytest.approx(0)
