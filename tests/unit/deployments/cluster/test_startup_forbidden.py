"""A refusal may pass where the right has worked, and is final where it never has."""

from datetime import timedelta

import pytest

from deployments.clock import ManualClock
from deployments.cluster.startup_forbidden import Rights


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rights(clock: ManualClock) -> Rights:
    return Rights(clock)


def after(clock: ManualClock, seconds: float) -> None:
    clock.advance(timedelta(seconds=seconds))


def no() -> bool:
    return False


def test_a_right_that_never_worked_is_lost_at_once(rights: Rights) -> None:
    rights.worked("get pods")
    assert rights.is_lost("list pods", no)


def test_a_right_that_has_worked_is_asked_for_again_for_a_minute(rights: Rights, clock: ManualClock) -> None:
    rights.worked("get pods")
    after(clock, 3600)
    assert not rights.is_lost("get pods", no)
    after(clock, 59)
    assert not rights.is_lost("get pods", no)
    after(clock, 1)
    assert rights.is_lost("get pods", no)


def test_a_right_that_is_back_has_a_new_minute(rights: Rights, clock: ManualClock) -> None:
    rights.worked("get pods")
    assert not rights.is_lost("get pods", no)
    after(clock, 50)
    rights.worked("get pods")
    after(clock, 50)
    assert not rights.is_lost("get pods", no)


def test_while_the_server_starts_and_where_rights_are_expected_any_is_asked_for_again(
    rights: Rights, clock: ManualClock
) -> None:
    assert not rights.is_lost("get pods", lambda: True)
    after(clock, 60)
    assert rights.is_lost("get pods", lambda: True)
    rights.expect_all()
    assert not rights.is_lost("list pods", no)
    after(clock, 60)
    assert rights.is_lost("list pods", no)
