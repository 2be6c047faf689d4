"""How long requests wait at a rate that a client keeps to."""

import pytest

from benchmarks.kubernetes import Run, rates, waits
from deployments.rollout.state import Phase


def asking(*moments: float) -> Run:
    return Run("rolling", [(moment, "get", "pods") for moment in moments], 10.0, Phase.DONE)


def test_nobody_waits_for_a_burst_that_is_allowed_or_a_rate_that_is_kept() -> None:
    burst = asking(*[0.0] * 100)
    assert rates([0.0], [burst]) == (10.0, 100)
    assert waits([0.0], [burst]) == (0.0, 0.0)
    assert waits([0.0], [asking(*(number / 50 for number in range(500)))]) == pytest.approx((0.0, 0.0))


def test_who_asks_for_more_waits_in_turn_and_is_later_by_all_that_it_waited() -> None:
    many, few = asking(*[0.0] * 150), asking(5.0)
    assert rates([0.0, 5.0], [many, few]) == (pytest.approx(151 / 15), 150)
    longest, late = waits([0.0, 5.0], [many, few])
    assert longest == pytest.approx(0.02)  # the next is asked for when the one before has had its turn
    assert late == pytest.approx(1.0)


def test_who_asks_at_the_same_time_as_others_waits_for_them_too() -> None:
    longest, _ = waits([0.0] * 150, [asking(0.0)] * 150)
    assert longest == pytest.approx(1.0)
