from datetime import timedelta

import pytest

from deployments.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(hours=1, minutes=30)),
        (" 14d ", timedelta(days=14)),
        ("8w", timedelta(weeks=8)),
        ("36525d", timedelta(days=36_525)),
    ],
)
def test_a_number_and_a_unit_are_a_duration(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=90), timedelta(days=14), timedelta(hours=25)])
def test_what_is_formatted_is_read_back(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "14", "d", "-3d", "14 d", "1e3s", "14days"])
def test_anything_else_names_the_units(text: str) -> None:
    with pytest.raises(ValueError, match="one of ms, s, m, h, d, w"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36526d", f"{'9' * 30}w", f"{'9' * 400}d"])
def test_more_than_a_century_is_refused_not_overflowed(text: str) -> None:
    with pytest.raises(ValueError, match="longer than a century"):
        parse_duration(text)
