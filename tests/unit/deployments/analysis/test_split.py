from math import log

import numpy as np
import pytest

from deployments.analysis.split import ALPHA, log_e, mismatch
from tests.unit.deployments.analysis.blocks import errors, traffic
from tests.unit.deployments.analysis.nulls import expected_e


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("total", [1, 40, 300])
def test_a_correct_split_is_not_expected_to_gain_evidence(share: float, total: int) -> None:
    logs = np.array([log_e(candidate, total, share) for candidate in range(total + 1)])
    assert expected_e(logs, share) <= 1 + 1e-9


@pytest.mark.parametrize(("actual", "requests"), [(0.5, 60), (0.2, 600), (0.15, 2000), (0.0, 200)])
def test_a_wrong_split_is_seen_before_so_many_requests(actual: float, requests: int) -> None:
    assert log_e(round(actual * requests), requests, 0.1) > log(1 / ALPHA)


def test_a_wrong_split_is_told_with_its_numbers() -> None:
    found = mismatch([errors((0, 500), (0, 500), share=0.05)])
    assert found is not None
    assert "500 of 1,000 requests (50 %)" in found
    assert "5 % are configured" in found


def test_every_share_is_tested_by_itself() -> None:
    right = [errors((0, 9500), (0, 500), share=0.05)]
    assert mismatch(right) is None
    assert mismatch([*right, errors((0, 950), (0, 50), share=0.5)]) is not None


def test_a_split_that_is_not_by_chance_is_not_tested() -> None:
    assert mismatch([errors((0, 0), (0, 10_000), share=None)]) is None


@pytest.mark.parametrize(("share", "stable", "candidate"), [(0.0, 10_000, 20), (1.0, 20, 10_000)])
def test_a_few_stragglers_are_no_mismatch(share: float, stable: int, candidate: int) -> None:
    assert mismatch([errors((0, stable), (0, candidate), share=share)]) is None
    assert mismatch([errors((0, 500), (0, 500), share=share)]) is not None


def test_correct_splits_raise_no_alarm_over_many_looks() -> None:
    chance = np.random.default_rng(5)
    for _ in range(100):
        blocks = [each for share in (0.05, 0.25) for each in traffic(chance, 10, 200, share, 0.01, 0.01)]
        assert all(mismatch(blocks[:look]) is None for look in range(1, 21))
