"""A small seeded sample of each scenario of `python -m benchmarks.evidence`; docs/statistics.md has the large ones."""

from dataclasses import replace

import pytest

from benchmarks.evidence.crowd import Crowd, simulate
from benchmarks.evidence.users import HARMS
from deployments.analysis.evidence import Block
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection

RULES = AnalysisSection()


def by_requests(block: Block) -> Block:
    """As if nobody knew of users."""
    stable, candidate = (replace(each, units=None, long_units=None) for each in (block.stable, block.candidate))
    changes = {"stretch": None, "long_stretch": None, "firsts": None, "long_firsts": None}
    return replace(block, stable=stable, candidate=candidate, **changes)


def rolled_back(blocks: list[Block], every: int = 6) -> int | None:
    looks = range(every, len(blocks) + 1, every)
    return next((look for look in looks if judge(blocks[:look], RULES).ruling is Ruling.ROLL_BACK), None)


def seen(crowd: Crowd, seed: int) -> list[Block]:
    return [each.block for each in simulate(crowd, seed)]


@pytest.mark.parametrize(("users", "requests"), [(200, 1), (500, 1), (200, 10), (500, 10), (2000, 2)])
def test_healthy_candidates_are_not_rolled_back(users: int, requests: int) -> None:
    assert not any(rolled_back(seen(Crowd(users, requests), seed), 15) for seed in range(6))


def test_sick_users_roll_back_by_request_and_not_by_user() -> None:
    """Seeds of which some roll a healthy candidate back where requests are the units."""
    crowds = [seen(Crowd(200, 100, sick=0.05), seed) for seed in (2, 3, 4)]
    assert any(rolled_back([by_requests(block) for block in blocks], 30) for blocks in crowds)
    assert not any(rolled_back(blocks, 30) for blocks in crowds)
    gap = [[replace(by_requests(block), unknown=block.candidate.requests) for block in blocks] for blocks in crowds]
    assert not any(rolled_back(blocks, 30) for blocks in gap), "nor where the log of users has a gap"


@pytest.mark.parametrize("harm", [name for name in HARMS if name != "5 % errors or resets"])
def test_harm_to_users_is_seen(harm: str) -> None:
    crowd = replace(HARMS[harm], users=1000, requests=20)
    for seed in range(2):
        at = rolled_back(seen(crowd, seed))
        assert at is not None
        assert at > crowd.begins
        assert at <= crowd.begins + 30, "five minutes"


def test_the_same_seed_is_the_same_rollout() -> None:
    assert seen(Crowd(50, 5), 1) == seen(Crowd(50, 5), 1)
    assert seen(Crowd(50, 5), 1) != seen(Crowd(50, 5), 2)
