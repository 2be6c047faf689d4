"""How long requests wait at a rate that a client keeps to."""

import pytest

from benchmarks.kubernetes import Run, rates
from deployments.rollout.state import Phase


def asking(*moments: float) -> Run:
    return Run("rolling", [(moment, "get", "pods") for moment in moments], 10.0, Phase.DONE)


def test_nobody_waits_for_a_burst_that_is_allowed_or_a_rate_that_is_kept() -> None:
    assert rates([0.0], [asking(*[0.0] * 100)]) == (10.0, 100, 0.0)
    steady = asking(*(number / 50 for number in range(500)))
    assert rates([0.0], [steady])[2] == 0.0


def test_who_asks_for_more_waits_in_turn() -> None:
    average, busiest, wait = rates([0.0, 5.0], [asking(*[0.0] * 150), asking(5.0)])
    assert (average, busiest) == (pytest.approx(151 / 15), 150)
    assert wait == pytest.approx(1.0)
