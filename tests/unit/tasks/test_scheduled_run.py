"""A run that a schedule began: what it stands for, how long it is held back, and when it is left out."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tasks.schedule_spec import Missed, ScheduleSection
from tasks.scheduled_run import LATE, ScheduledRun, pause_before, present_scheduled_run, why_left_out

DUE = datetime(2026, 12, 1, 2, tzinfo=UTC)
NIGHTLY = ScheduleSection(cron="0 2 * * *", jitter=timedelta(minutes=30))


def run(after: timedelta = timedelta(seconds=3), due: datetime = DUE) -> ScheduledRun:
    return ScheduledRun(UUID(int=1), due, due + after)


def test_a_run_stands_for_its_time_and_one_that_was_missed_for_when_it_begins() -> None:
    assert run().stands_for == DUE
    assert run(LATE).stands_for == DUE
    assert run(timedelta(days=11)).stands_for == DUE + timedelta(days=11)


def test_jitter_holds_runs_back_by_less_than_it_says_each_by_its_own_time_and_again_by_the_same() -> None:
    pauses = [pause_before(f"shop-{number}", run(), NIGHTLY) for number in range(200)]
    assert all(timedelta(0) <= pause < timedelta(minutes=30) for pause in pauses)
    assert max(pauses) - min(pauses) > timedelta(minutes=25)
    assert pauses == [pause_before(f"shop-{number}", run(), NIGHTLY) for number in range(200)]
    other_night = run(due=DUE + timedelta(days=1))
    assert pause_before("shop-1", other_night, NIGHTLY) != pause_before("shop-1", run(), NIGHTLY)


def test_nothing_is_held_back_that_is_late_or_has_no_jitter() -> None:
    assert pause_before("shop", run(timedelta(days=1)), NIGHTLY) == timedelta(0)
    assert pause_before("shop", run(), ScheduleSection(cron="0 2 * * *")) == timedelta(0)
    assert pause_before("shop", run(), None) == timedelta(0)


def test_a_missed_run_is_left_out_where_the_spec_says_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.scheduled_run._newer", lambda *_: None)
    skip = ScheduleSection(cron="0 2 * * *", missed=Missed.SKIP)
    assert "schedule.missed says skip" in str(why_left_out(run(timedelta(hours=1)), skip, DUE + timedelta(hours=1)))
    assert why_left_out(run(timedelta(hours=1)), NIGHTLY, DUE + timedelta(hours=1)) is None
    assert why_left_out(run(), skip, DUE) is None


def test_outside_a_run_of_prefect_no_schedule_began_anything() -> None:
    assert present_scheduled_run(DUE) is None
