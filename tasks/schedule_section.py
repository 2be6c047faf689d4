"""The section `schedule` of a product spec: when a release is begun without anybody asking for it."""

from datetime import UTC, datetime, timedelta
from typing import Final, Self
from zoneinfo import available_timezones

from cronsim import CronSim, CronSimError
from pydantic import Field, field_validator, model_validator

from deployments.durations import Duration
from deployments.spec import Section

_SHORTEST: Final = timedelta(minutes=1)


class ScheduleSection(Section):
    """Exactly one of `cron` and `every`."""

    cron: str | None = Field(
        default=None,
        description='five fields of cron, such as "0 3 * * 1-5": minute, hour, day, month, day of the week',
    )
    every: Duration | None = Field(default=None, description="an interval instead, of a minute or more")
    timezone: str = Field(
        default="UTC", description="name of a time zone, such as Europe/Berlin, whose clocks `cron` is read by"
    )
    active: bool = Field(default=True, description="whether it is on")
    window: Duration | None = Field(
        default=None, description="instead of `data.window` in runs by schedule: so long, up to the newest row"
    )

    @field_validator("cron")
    @classmethod
    def _fires(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        try:
            next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
        except CronSimError as error:
            raise ValueError(f"{cron!r} is not cron ({error}): write five fields, such as '0 3 * * *'") from None
        except StopIteration:
            raise ValueError(f"{cron!r} never comes: there is no such day") from None
        return cron

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in available_timezones():
            raise ValueError(f"there is no time zone {name!r}: write one such as Europe/Berlin or UTC")
        return name

    @field_validator("every")
    @classmethod
    def _not_too_often(cls, every: timedelta | None) -> timedelta | None:
        if every is not None and every < _SHORTEST:
            raise ValueError("an interval is a minute or more")
        return every

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.cron is not None and self.every is not None:
            raise ValueError("give cron or every, not both")
        if self.cron is None and self.every is None:
            raise ValueError("give cron or every, else nothing is scheduled")
        return self
