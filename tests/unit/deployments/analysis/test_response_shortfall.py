"""How seldom a version that answers all is said not to, and how soon one that does not is found out."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deployments.analysis.response_shortfall import ALPHA, is_proved, is_rare, is_short, log_e, smallest_fair_share
from tests.unit.deployments.analysis.nulls import expected_e

RUNS, LOOKS, TOLERANCE = 200, 60, 0.1


@pytest.mark.parametrize(("share", "tolerance"), [(0.01, 0.1), (0.1, 0.1), (0.5, 1.0), (0.9, 0.0)])
def test_the_least_share_has_the_odds_that_the_tolerance_allows(share: float, tolerance: float) -> None:
    allowed = smallest_fair_share(share, tolerance)
    assert allowed / (1 - allowed) == pytest.approx(share / (1 - share) / (1 + tolerance))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 5, 40, 300])
def test_what_is_expected_of_the_evidence_is_at_most_one_while_nothing_is_short(share: float, size: int) -> None:
    logs = np.array([log_e([size - missing], [size], share, TOLERANCE) for missing in range(size + 1)])
    for given in (smallest_fair_share(share, TOLERANCE), share, (1 + share) / 2):
        assert expected_e(logs, 1 - given) <= 1 + 1e-9


def steady(rate: float) -> Callable[[np.random.Generator, int], int]:
    return lambda random, _: int(random.poisson(10 * rate))


def daily(random: np.random.Generator, look: int) -> int:
    """Traffic that swells and ebbs, with a burst now and then."""
    mean = 200 * (1 + 0.9 * np.sin(look / 7)) * (20 if random.random() < 0.05 else 1)
    return int(random.poisson(mean))


TRAFFIC = {"2 a second": steady(2), "50 a second": steady(50), "1,000 a second": steady(1000), "changing": daily}


def proved_at(
    traffic: Callable[[np.random.Generator, int], int],
    share: float,
    answered: Sequence[float],
    seed: int,
) -> int | None:
    """The first look at which a shortfall is proved, with that part of the candidate's requests answered in each."""
    random = np.random.default_rng(seed)
    given: list[int] = []
    total: list[int] = []
    for look, part in enumerate(answered):
        sent = traffic(random, look)
        reached = random.binomial(sent, share)
        mine = int(random.binomial(reached, part))
        given.append(mine)
        total.append(mine + sent - reached)
        if is_proved(log_e(given, total, share, TOLERANCE), 1):
            return look
    return None


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("traffic", TRAFFIC)
def test_a_version_that_answers_all_is_never_said_not_to(traffic: str, share: float) -> None:
    healthy = [1.0] * LOOKS
    assert [seed for seed in range(RUNS // 4) if proved_at(TRAFFIC[traffic], share, healthy, seed) is not None] == []


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_even_at_the_edge_of_the_tolerance_it_is_said_as_seldom_as_stated(share: float) -> None:
    """Of 200 runs none would be expected at a level of one in a thousand; three are very unlikely."""
    edge = smallest_fair_share(share, TOLERANCE) / (1 - smallest_fair_share(share, TOLERANCE)) * (1 - share) / share
    false = [seed for seed in range(RUNS) if proved_at(steady(50), share, [edge] * LOOKS, seed) is not None]
    assert len(false) <= 2


@pytest.mark.parametrize(
    ("share", "rate", "answered", "looks"),
    [
        (0.01, 200, 0.0, 3),
        (0.1, 50, 0.0, 3),
        (0.1, 50, 0.5, 9),
        (0.5, 20, 0.0, 2),
        (0.5, 20, 0.5, 4),
        (0.5, 200, 0.75, 3),
    ],
)
@pytest.mark.parametrize("healthy", [0, 30])
def test_a_shortfall_is_seen_within_so_many_looks_early_or_late(
    share: float, rate: float, answered: float, looks: int, healthy: int
) -> None:
    late = 2 if healthy else 0  # later beginnings have less to bet with
    found = [proved_at(steady(rate), share, [1.0] * healthy + [answered] * 30, seed) for seed in range(40)]
    times = sorted(99 if at is None else at - healthy + 1 for at in found)
    assert times[20] <= looks + late
    assert times[0] >= 1


def test_all_splits_of_a_rollout_share_the_level() -> None:
    assert sum(ALPHA / (split * (split + 1)) for split in range(1, 1000)) < ALPHA
    assert is_proved(np.log(2 / ALPHA), 1)
    assert not is_proved(np.log(2 / ALPHA), 2)


def test_few_answers_are_rare_only_where_chance_would_not_leave_so_few() -> None:
    assert not is_rare(0, 300, 0.01, TOLERANCE)
    assert is_rare(0, 500, 0.01, TOLERANCE)
    assert not is_rare(45, 100, 0.5, TOLERANCE)
    assert is_rare(30, 100, 0.5, TOLERANCE)
    assert not is_short(48, 100, 0.5, TOLERANCE)
    assert is_short(47, 100, 0.5, TOLERANCE)
