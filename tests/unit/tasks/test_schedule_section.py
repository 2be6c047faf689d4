import pytest
from pydantic import ValidationError

from deployments.durations import parse_duration
from tasks.schedule_section import ScheduleSection


@pytest.mark.parametrize("cron", ["0 3 * * *", "*/15 8-18 * * MON-FRI", "0 0 29 2 *", "0 12 L * *", "5 4 * * SUN"])
def test_what_cron_knows_is_taken(cron: str) -> None:
    assert ScheduleSection(cron=cron, timezone="Europe/Berlin").cron == cron


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "give cron or every"),
        ({"cron": "0 3 * * *", "every": "6h"}, "not both"),
        ({"cron": "0 3 * *"}, "write five fields"),
        ({"cron": "every night"}, "write five fields"),
        ({"cron": "61 3 * * *"}, "write five fields"),
        ({"cron": "0 0 31 2 *"}, "is not cron|never comes"),
        ({"cron": "0 3 * * *", "timezone": "Europe/Berln"}, "no time zone 'Europe/Berln'"),
        ({"cron": "0 3 * * *", "timezone": "+02:00"}, "no time zone"),
        ({"every": "0s"}, "a minute or more"),
        ({"every": "59s"}, "a minute or more"),
        ({"every": "often"}, "is not a duration"),
        ({"every": "6h", "window": "two months"}, "is not a duration"),
        ({"every": "6h", "jitter": "1m"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(given: dict[str, str], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        ScheduleSection.model_validate(given)


def test_an_interval_and_a_window_are_durations() -> None:
    section = ScheduleSection.model_validate({"every": "6h", "window": "60d"})
    assert (section.every, section.window) == (parse_duration("6h"), parse_duration("60d"))
