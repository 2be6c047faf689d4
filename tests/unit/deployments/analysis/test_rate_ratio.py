from itertools import product

import numpy as np
import pytest

from deployments.analysis.block_counts import Arms
from deployments.analysis.rate_ratio import log_e_above
from tests.unit.deployments.analysis.nulls import arms, expected_of_both, logs_by_outcome


@pytest.mark.parametrize("sizes", [(1, 1), (19, 1), (20, 12), (3, 30)])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0])
def test_no_allowed_pair_of_rates_is_expected_to_gain_evidence(sizes: tuple[int, int], ratio: float) -> None:
    logs = logs_by_outcome(lambda bad, own: log_e_above(arms((sizes[0], bad, sizes[1], own)), ratio)[0], sizes)
    for stable, part in product((0.001, 0.02, 0.2, 0.45), (0.0, 0.5, 1.0)):
        assert expected_of_both(logs, (stable, part * ratio * stable)) <= 1 + 1e-9


def test_rates_that_move_between_blocks_gain_nothing_either() -> None:
    first, second = (6, 2), (3, 5)

    def after_two(bad: int, own: int) -> float:
        def log_e(later_bad: int, later_own: int) -> float:
            return log_e_above(arms((first[0], bad, first[1], own), (second[0], later_bad, second[1], later_own)), 1)[0]

        return np.log(expected_of_both(logs_by_outcome(log_e, second), (0.02, 0.02)))

    assert expected_of_both(logs_by_outcome(after_two, first), (0.4, 0.4)) <= 1 + 1e-9


def test_a_candidate_that_fails_ten_times_as_often_gains_evidence() -> None:
    found = log_e_above(arms(*[(475, 2, 25, 2)] * 6), 1.0)[0]
    assert found > np.log(300)


def test_more_errors_of_the_candidate_are_more_evidence() -> None:
    logs = [log_e_above(arms((100, 5, 20, bad)), 1.0)[0] for bad in range(21)]
    assert logs == sorted(logs)


@pytest.mark.parametrize("block", [(0, 0, 0, 0), (100, 7, 0, 0), (0, 0, 50, 50), (100, 0, 10, 0)])
def test_nothing_comparable_is_no_evidence(block: tuple[float, float, float, float]) -> None:
    assert log_e_above(arms(block), 1.0)[0] == pytest.approx(0)


def test_each_kind_is_weighed_by_itself() -> None:
    one, other = arms((90, 3, 10, 6)), arms((90, 3, 10, 1))
    both = Arms(
        one.stable,
        np.column_stack((one.stable_bad, other.stable_bad)),
        one.candidate,
        np.column_stack((one.candidate_bad, other.candidate_bad)),
    )
    assert log_e_above(both, 1.0) == pytest.approx([log_e_above(one, 1.0)[0], log_e_above(other, 1.0)[0]])
