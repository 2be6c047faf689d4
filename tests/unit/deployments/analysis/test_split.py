from math import log

import numpy as np
import pytest

from deployments.analysis.split import ALPHA, log_e, mismatch
from tests.unit.deployments.analysis.blocks import errors, traffic
from tests.unit.deployments.analysis.nulls import expected_e

EXACT, TWICE = 0.0, 1.0


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.9])
@pytest.mark.parametrize("total", [1, 40, 300])
def test_a_correct_split_is_not_expected_to_gain_evidence(share: float, total: int) -> None:
    logs = np.array([log_e(candidate, total, share, EXACT) for candidate in range(total + 1)])
    assert expected_e(logs, share) <= 1 + 1e-9


@pytest.mark.parametrize(("actual", "requests"), [(0.5, 60), (0.2, 600), (0.15, 2000), (0.0, 200)])
def test_a_wrong_split_is_seen_before_so_many_requests(actual: float, requests: int) -> None:
    assert log_e(round(actual * requests), requests, 0.1, EXACT) > log(1 / ALPHA)


def test_a_wrong_split_is_told_with_its_numbers() -> None:
    found = mismatch([errors((0, 500), (0, 500), share=0.05)], EXACT)
    assert found is not None
    assert "500 of 1,000 requests (50 %)" in found
    assert "5 % are configured" in found


def test_every_share_is_tested_by_itself() -> None:
    right = [errors((0, 9500), (0, 500), share=0.05)]
    assert mismatch(right, EXACT) is None
    assert mismatch([*right, errors((0, 950), (0, 50), share=0.5)], EXACT) is not None


def test_a_split_that_is_not_by_chance_is_not_tested() -> None:
    assert mismatch([errors((0, 0), (0, 10_000), share=None)], EXACT) is None


@pytest.mark.parametrize(("share", "stable", "candidate"), [(0.0, 10_000, 20), (1.0, 20, 10_000)])
def test_a_few_stragglers_are_no_mismatch(share: float, stable: int, candidate: int) -> None:
    assert mismatch([errors((0, stable), (0, candidate), share=share)], EXACT) is None
    assert mismatch([errors((0, 500), (0, 500), share=share)], EXACT) is not None


def test_correct_splits_raise_no_alarm_over_many_looks() -> None:
    chance = np.random.default_rng(5)
    for _ in range(100):
        blocks = [each for share in (0.05, 0.25) for each in traffic(chance, 10, 200, share, 0.01, 0.01)]
        assert all(mismatch(blocks[:look], EXACT) is None for look in range(1, 21))


@pytest.mark.parametrize("share", [0.05, 0.5])
@pytest.mark.parametrize("bound", ["low", "high"])
def test_odds_at_the_edge_of_the_tolerance_are_not_expected_to_gain_evidence(share: float, bound: str) -> None:
    odds = share / (1 - share) * (2.0 if bound == "high" else 0.5)
    edge = odds / (1 + odds)
    logs = np.array([log_e(candidate, 200, share, TWICE) for candidate in range(201)])
    assert expected_e(logs, edge) <= 1 + 1e-9


@pytest.mark.parametrize(("actual", "requests"), [(0.5, 60), (0.0, 300), (1.0, 20), (0.3, 600)])
def test_a_split_far_from_the_configured_one_is_seen_with_a_tolerance_too(actual: float, requests: int) -> None:
    assert log_e(round(actual * requests), requests, 0.1, TWICE) > log(1 / ALPHA)


def test_users_that_come_in_lumps_raise_no_alarm() -> None:
    chance = np.random.default_rng(11)
    for _ in range(40):
        on_candidate = chance.random(500) < 0.05  # 500 users, each with one version for ever
        blocks = []
        for _ in range(40):
            asked = np.bincount(chance.integers(0, 500, 500), minlength=500)
            candidate = int(asked[on_candidate].sum())
            blocks.append(errors((0, 500 - candidate), (0, candidate), share=0.05))
        assert mismatch(blocks, TWICE) is None
