"""Requests that wait for a candidate that answers nothing."""

from datetime import UTC, datetime, timedelta

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts
from tasks.rollout_engine.hung_requests import FEWEST, Silence, Waiting

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
QUICK, SLOW = 0, len(LATENCY_BOUNDS_MS)


def champion(*, answers: int = 200, slow: int = 0) -> list[Block]:
    latency = [0] * (len(LATENCY_BOUNDS_MS) + 1)
    latency[QUICK], latency[SLOW] = answers - slow, slow
    return [Block(NOON, NOON, 0, 0.5, Counts(answers, 0, tuple(latency)), Counts())]


def lasting(
    *, waiting: int = FEWEST, champions: int = 5, alone: bool = False, blocks: list[Block] | None = None
) -> timedelta | None:
    """After looks at 0, 10, 20, 30 and 40 s."""
    found = Waiting()
    for number in range(5):
        found.look(10.0 * number, waiting, champions)
    return found.lasts(40, champion() if blocks is None else blocks, alone=alone)


def test_a_candidate_that_keeps_all_waiting_for_half_a_minute_is_told() -> None:
    assert lasting() == timedelta(seconds=40)


def test_a_few_requests_may_be_anything() -> None:
    assert lasting(waiting=FEWEST - 1) is None


def test_where_the_champion_is_silent_too_nothing_is_told_unless_it_has_no_traffic() -> None:
    assert lasting(champions=0) is None
    assert lasting(champions=0, alone=True) == timedelta(seconds=40)


def test_a_champion_that_takes_long_itself_or_is_not_known_leaves_it_to_the_time_out() -> None:
    assert lasting(blocks=champion(slow=3)) is None
    assert lasting(blocks=champion(answers=99)) is None
    assert lasting(blocks=[]) is None


def test_whatever_comes_to_an_end_or_is_not_known_begins_anew() -> None:
    found = Waiting()
    found.look(0, 9, 9)
    found.forget()
    found.look(29, 9, 9)
    found.look(31, 9, 9)
    assert found.lasts(31, champion(), alone=False) is None


def passed(*, left: int = 0, answered: int = 0, stable: int = 50) -> Block:
    """Fifteen seconds in which the candidate's users left, or were answered."""
    given_up = (left, *[0] * len(LATENCY_BOUNDS_MS)) if left else ()
    candidate = Counts(left + answered, given_up=given_up)
    return Block(NOON, NOON + timedelta(seconds=15), 0, 0.5, Counts(stable), candidate)


def silent(*blocks: Block | None, share: float | None = 0.5) -> bool:
    """Whether it is told at the last of these looks."""
    found = Silence()
    for number, block in enumerate(blocks, 1):
        found.look(15.0 * number, block)
    return found.lasts(15.0 * len(blocks), share, 0.1)


def test_users_who_all_left_are_told_within_a_minute_though_no_more_come() -> None:
    for share in (0.001, 0.5, None):
        assert silent(passed(left=FEWEST), passed(), passed(), share=share)
        assert not silent(passed(left=FEWEST), passed(), share=share)


def test_a_server_that_cannot_even_tell_who_left_is_silent_where_chance_would_have_sent_somebody() -> None:
    assert silent(*[passed()] * 3)
    assert not silent(*[passed()] * 2)
    assert not silent(*[passed(stable=1)] * 3, share=0.01)
    assert not silent(*[passed()] * 9, share=None)


def test_one_answer_or_a_look_that_says_nothing_begins_anew() -> None:
    for anew in (passed(left=9, answered=1), None):
        assert not silent(passed(left=FEWEST), anew, passed(), passed())
        assert silent(passed(left=FEWEST), anew, *[passed()] * 3)


def test_a_few_who_left_may_be_anything_where_the_champion_has_no_traffic() -> None:
    assert not silent(*[passed(stable=0)] * 9, share=1.0)
    assert not silent(passed(left=FEWEST - 1, stable=0), *[passed(stable=0)] * 3, share=1.0)
    assert silent(*[passed(left=FEWEST, stable=0)] * 3, share=1.0)


def test_where_the_champion_answers_nobody_either_the_candidate_is_not_to_blame() -> None:
    assert not silent(*[passed(left=FEWEST, stable=0)] * 4)
