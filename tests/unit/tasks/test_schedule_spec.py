"""A schedule in a spec: what is refused, and that what is taken means to Prefect what it says."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tasks.schedule_spec import ANCHOR, ScheduleSection, relative_window
from tests.advice import followed

BERLIN = ZoneInfo("Europe/Berlin")


def section(**fields: Any) -> ScheduleSection:
    return ScheduleSection.model_validate(fields)


def moments_of_prefect(cron: str, zone: str, start: datetime, number: int) -> list[datetime]:
    from prefect.server.schemas.schedules import CronSchedule

    return list(asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(n=number, start=start)))


ONE = followed("give exactly one of cron or interval")
ZONE = followed("write a name such as UTC or Europe/Berlin")
FIVE = followed(": write 5, minute hour day month weekday, such as 0 3 * * *")
READABLE = followed("): write it such as 0 3 * * 1-5")
LONGER = followed(" is too short: give ")
PASSES = followed("timezone is of cron, and an interval is time that passes: leave ")
EARLIER = followed(": give jitter less than that, not ")
BACK = followed("write -START..-END, such as -60d..-1d, or -60d..")
NIGHTLY = {"cron": "0 3 * * *"}


@pytest.mark.parametrize(
    ("fields", "said", "mended"),
    [
        ({}, ONE, NIGHTLY),
        (NIGHTLY | {"interval": "1d"}, ONE, {"interval": "1d"}),
        (NIGHTLY | {"timezone": "Europe/Berlln"}, ZONE, {"timezone": "Europe/Berlin"}),
        ({"cron": "0 3 * *"}, "has 4 fields", NIGHTLY),
        ({"cron": "@daily"}, FIVE, NIGHTLY),
        ({"cron": "61 3 * * *"}, READABLE, {"cron": "0 3 * * 1-5"}),
        ({"cron": "R 3 * * *"}, READABLE, {"cron": "0 3 * * 1-5"}),
        ({"cron": "0 0 30 2 *"}, "Bad day-of-month", {"cron": "0 0 29 2 *"}),
        ({"cron": "0 0 31 4,6 *"}, READABLE, {"cron": "0 0 30 4,6 *"}),
        ({"interval": "0s"}, LONGER, {"interval": "1m"}),
        ({"interval": "1d", "timezone": "Europe/Berlin"}, PASSES, {"timezone": "UTC"}),
        ({"interval": "1h", "jitter": "1h"}, EARLIER, {"jitter": "59m"}),
        ({"cron": "0 3,4 * * *", "jitter": "90m"}, "the next run may be due within 1h", {"jitter": "30m"}),
        (NIGHTLY | {"window": "60d"}, BACK, {"window": "-60d..-1d"}),
        (NIGHTLY | {"window": "60d"}, BACK, {"window": "-60d.."}),
        (NIGHTLY | {"window": "-1d..-60d"}, "ends before it starts", {"window": "-60d..-1d"}),
        (NIGHTLY | {"window": "-1x..-1h"}, "is not a duration", {"window": "-2h..-1h"}),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_would_be_right(
    fields: dict[str, Any], said: str, mended: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as refused:
        section(**fields)
    assert said in str(refused.value)
    kept = {} if {"cron", "interval"} & set(mended) else fields
    section(**(kept | mended))


@pytest.mark.parametrize(
    "cron",
    [
        "0 3 * * *",
        "*/15 * * * *",
        "0 3 * * 1-5",
        "0 3 * * 7",
        "0 3 * * SUN",
        "30 4 1 JAN,JUL *",
        "0 0 29 2 *",
        "0 3 L * *",
    ],
)
def test_what_is_taken_comes_due_at_prefect_when_the_spec_says(cron: str) -> None:
    start = datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert moments_of_prefect(cron, "UTC", start, 5) == list(islice(section(cron=cron).following(start), 5))


@pytest.mark.parametrize("hour", ["0 2", "30 2", "0 3", "30 1"])
@pytest.mark.parametrize("start", [datetime(2027, 3, 26, 12, tzinfo=BERLIN), datetime(2026, 10, 23, 12, tzinfo=BERLIN)])
def test_on_days_on_which_clocks_change_a_nightly_schedule_runs_once(hour: str, start: datetime) -> None:
    """Spring: 02:00 to 03:00 is left out, such a run comes an hour earlier. Autumn: the first of two 02:30 counts."""
    found = moments_of_prefect(f"{hour} * * *", "Europe/Berlin", start, 4)
    days = [moment.astimezone(BERLIN).date() for moment in found]
    assert days == [(start + timedelta(days=day)).date() for day in range(1, 5)]
    minute, clock = (int(part) for part in hour.split())
    usual = [moment.astimezone(BERLIN) for moment in found]
    assert {(moment.hour, moment.minute) for moment in (usual[0], *usual[2:])} == {(clock, minute)}
    changed = usual[1]
    if start.month == 3 and clock == 2:
        assert (changed.hour, changed.minute, changed.utcoffset()) == (1, minute, timedelta(hours=1))
    else:
        assert (changed.hour, changed.minute) == (clock, minute)
        assert changed.fold == 0


def test_an_interval_is_time_that_passes_whatever_clocks_do() -> None:
    from prefect.server.schemas.schedules import IntervalSchedule

    interval = timedelta(days=1)
    schedule = IntervalSchedule(interval=interval, anchor_date=ANCHOR, timezone="UTC")
    for start in (datetime(2027, 3, 27, 1, tzinfo=UTC), datetime(2026, 10, 24, 1, tzinfo=UTC)):
        found = asyncio.run(schedule.get_dates(n=3, start=start))
        assert list(found) == list(islice(section(interval="1d").following(start), 3))


def test_a_window_goes_back_from_the_time_of_a_run() -> None:
    assert relative_window("-60d..-1.5h") == (timedelta(days=60), timedelta(hours=1.5))
    assert relative_window("-1.5d..") == (timedelta(days=1.5), None)
