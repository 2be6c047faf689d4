"""The schedule section of a product spec: when the product is released without anybody who asks for it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from typing import Final, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from deployments.durations import Duration, format_duration, parse_duration
from deployments.plurals import counted
from deployments.spec import Section

# Where intervals are counted from: a Monday, so that `7d` begins the week.
ANCHOR: Final = datetime(2024, 1, 1, tzinfo=UTC)
# Prefect's scheduler looks once a minute; more often, runs would be made that are over before they are seen.
_SHORTEST: Final = timedelta(minutes=1)
_LOOKED_AT: Final = 200
_FIELDS: Final = 5
_RELATIVE: Final = re.compile(r"-(?P<start>[^.]*(?:\.\d[^.]*)?)\.\.(?:-(?P<end>.+))?")


class Missed(StrEnum):
    """What becomes of a run whose time passed while nothing of the platform ran."""

    RUN_ONCE = "run_once"
    SKIP = "skip"


class ScheduleSection(Section):
    """When the product is released by itself: by a cron line in a time zone, or after each interval."""

    cron: str | None = Field(
        default=None,
        description="minute, hour, day of month, month, day of week, such as 0 3 * * 1-5",
        examples=["0 3 * * *"],
    )
    timezone: str = Field(
        default="UTC", description="of `cron`: a name of the IANA time zone database, such as Europe/Berlin"
    )
    interval: Duration | None = Field(
        default=None,
        description="instead of `cron`: so much time between runs, counted from Monday 2024-01-01 00:00 UTC",
    )
    jitter: Duration | None = Field(
        default=None,
        gt=timedelta(0),
        description="each run begins later by a time up to this, so that products do not all begin at once",
    )
    active: bool = Field(default=True, description="false: the schedule stands there and starts nothing")
    missed: Missed = Field(
        default=Missed.RUN_ONCE,
        description="after the platform was down: one run for all that were missed (run_once), or none (skip)",
    )
    window: str | None = Field(
        default=None,
        description="instead of `data.window`, back from the run's time: -60d..-1d, or -60d.. up to the newest row",
    )

    @field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"no time zone is called {name!r}: write a name such as UTC or Europe/Berlin")
        return name

    @field_validator("window")
    @classmethod
    def _goes_back(cls, window: str | None) -> str | None:
        if window is not None:
            relative_window(window)
        return window

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("give exactly one of cron or interval")
        if self.interval is not None and self.timezone != "UTC":
            raise ValueError(
                f"timezone is of cron, and an interval is time that passes: leave {self.timezone} out, or write a "
                "cron line"
            )
        if self.interval is not None and self.interval < _SHORTEST:
            raise ValueError(
                f"interval {format_duration(self.interval)} is too short: give {format_duration(_SHORTEST)} or more"
            )
        if self.cron is not None:
            _check_cron(self.cron)
        shortest = self._shortest_pause()
        if self.jitter is not None and shortest is not None and self.jitter >= shortest:
            raise ValueError(
                f"the next run may be due within {format_duration(shortest)}: give jitter less than that, not "
                f"{format_duration(self.jitter)}"
            )
        return self

    def following(self, after: datetime) -> Iterator[datetime]:
        """The moments at which runs are due, later than `after` (aware), in the schedule's zone, without end.

        By the wall clock, as the spec says it. Prefect itself decides about the two days a year on which clocks change.
        """
        if self.interval is not None:
            steps = (after - ANCHOR) // self.interval
            while True:
                steps += 1
                yield ANCHOR + steps * self.interval
        yield from CronSim(str(self.cron), after.astimezone(ZoneInfo(self.timezone)))

    def _shortest_pause(self) -> timedelta | None:
        """Between two runs, of the next two hundred; None where there are not two."""
        pauses = (later - earlier for earlier, later in pairwise(islice(self.following(ANCHOR), _LOOKED_AT)))
        return min((pause for pause in pauses if pause > timedelta(0)), default=None)


def relative_window(text: str) -> tuple[timedelta, timedelta | None]:
    """`-60d..-1d` as (60 days, 1 day): from so long before a run to so long before it; None: up to the newest row.

    Raises ValueError that says what is wrong.
    """
    found = _RELATIVE.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} does not go back from a run's time: write -START..-END, such as -60d..-1d, or -60d.."
        )
    start = parse_duration(found["start"])
    end = parse_duration(found["end"]) if found["end"] else None
    if start <= (end or timedelta(0)):
        raise ValueError(f"{text!r} ends before it starts: the longer way back comes first, as in -60d..-1d")
    return start, end


def is_relative(window: str) -> bool:
    """Whether a window counts back from a run's time, as `-60d..-1d` does."""
    return window.strip().startswith("-")


def _check_cron(cron: str) -> None:
    fields = len(cron.split())
    if fields != _FIELDS:
        raise ValueError(
            f"cron {cron!r} has {counted(fields, 'field')}: write 5, minute hour day month weekday, such as 0 3 * * *"
        )
    try:
        next(CronSim(cron, ANCHOR))
    except (CronSimError, StopIteration) as error:
        why = f"{error}" or "it never comes true"
        raise ValueError(f"cron {cron!r} cannot be meant ({why}): write it such as 0 3 * * 1-5") from None
