from dataclasses import replace
from math import log

import numpy as np
import pytest

from deployments.analysis.evidence import Block, Counts, Units
from deployments.analysis.sample_ratio_mismatch import ALPHA, log_e, mismatch
from deployments.spec import AnalysisSection
from tests.unit.deployments.analysis.blocks import INTERVAL, START, block, errors, traffic
from tests.unit.deployments.analysis.nulls import expected_e

EXACT, TWICE = 0.0, 1.0
CHOSEN = AnalysisSection().chosen_keys


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


def of_users(
    requests: tuple[int, int], users: tuple[int, int], keyless: tuple[int, int] = (0, 0), share: float = 0.05
) -> Block:
    """A block of a long stretch: (stable, candidate) requests, users among their senders, requests without a key."""
    stable, candidate = (
        Counts(total, units=Units(count + others, keyless=others), long_units=Units(count + others, keyless=others))
        for total, count, others in zip(requests, users, keyless, strict=True)
    )
    return replace(block(stable, candidate, share=share), stretch=START, long_stretch=START)


@pytest.mark.parametrize("keys", [3, 1000, 10_000], ids=["few keys", "many keys", "a key for each request"])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_who_sends_a_tenth_of_the_traffic_with_chosen_keys_holds_nothing(keys: int, share: float) -> None:
    """10,000 of 100,000 requests, beside users with a key and ten requests each, or requests without one."""
    meet = round(9000 * share)
    with_users = of_users((90_000 - 10 * meet, 10 * meet + 10_000), (9000 - meet, meet + keys), share=share)
    assert mismatch([with_users], TWICE, CHOSEN) is None
    keyless = 90_000 - 10 * meet, 10 * meet
    alone = of_users((keyless[0], keyless[1] + 10_000), (0, keys), keyless, share=share)
    assert mismatch([alone], TWICE, CHOSEN) is None


def test_a_wrong_split_of_requests_without_a_key_is_seen_among_users() -> None:
    found = mismatch([of_users((20_000, 2_000), (1000, 50), (8_800, 1_200))], TWICE, CHOSEN)
    assert found is not None
    assert "1,200 of 10,000 requests (12 %)" in found


def test_a_split_of_users_that_is_far_off_is_seen() -> None:
    found = mismatch([of_users((5000, 5000), (500, 500))], TWICE, CHOSEN)
    assert found is not None
    assert "500 of 1,000 users (50 %)" in found
    assert mismatch([of_users((20_000, 0), (2000, 0))], TWICE, CHOSEN) is not None


def test_a_few_busy_users_are_no_mismatch() -> None:
    chance = np.random.default_rng(3)
    for _ in range(100):
        busy = chance.gamma(0.3, 1, 200)
        mine = chance.random(200) < 0.05
        asked = chance.poisson(100 * busy / busy.mean())
        counted = of_users((int(asked[~mine].sum()), int(asked[mine].sum())), (int((~mine).sum()), int(mine.sum())))
        assert mismatch([counted], EXACT, CHOSEN) is None


def test_each_long_stretch_is_tested_by_itself() -> None:
    """The same 30 users, by bad luck on the candidate, come back after every restart of who counts."""
    again = [
        replace(of_users((5000, 500), (150, 30)), long_stretch=START + number * INTERVAL, stretch=START)
        for number in range(40)
    ]
    assert mismatch(again, TWICE, CHOSEN) is None
