"""A wait is told of again, at sensible intervals."""

from datetime import timedelta

from deployments.clock import ManualClock
from tasks.rollout_engine.wait_reminders import AT_ONCE, SOON, Reminder, SpeakingClock

MINUTE = 60.0


def told(what: object, until: float, every: float = 0.5, schedule: tuple[timedelta, ...] = AT_ONCE) -> list[float]:
    reminder, moments = Reminder(), [every * number for number in range(int(until / every) + 1)]
    return [moment for moment in moments if reminder.due(what, moment, schedule)]


def test_at_once_then_after_1_2_5_and_10_minutes_then_every_15() -> None:
    assert [moment / MINUTE for moment in told("a hold", 60 * MINUTE)] == [0, 1, 2, 5, 10, 25, 40, 55]


def test_what_is_mostly_over_in_seconds_is_told_of_after_ten() -> None:
    assert told("a launch", 11 * MINUTE, schedule=SOON) == [10, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE]


def test_something_else_is_told_of_at_once() -> None:
    reminder = Reminder()
    assert [reminder.due(what, 30.0) for what in ("a hold", "a hold", "a question", "a hold")] == [1, 0, 1, 1]


def test_whoever_asks_seldom_is_told_once_each_time() -> None:
    assert told("a hold", 100 * MINUTE, every=30 * MINUTE) == [0, 30 * MINUTE, 60 * MINUTE, 90 * MINUTE]


def test_a_clock_lets_somebody_speak_whenever_it_is_waited_by() -> None:
    said: list[float] = []
    plain = ManualClock()
    clock = SpeakingClock(plain, lambda: said.append(plain.monotonic()))
    clock.sleep(timedelta(seconds=2))
    clock.sleep(timedelta(seconds=3))
    assert (said, clock.monotonic(), clock.now()) == ([2.0, 5.0], 5.0, plain.now())
