"""Durations as people write them in a spec: `250ms`, `30s`, `5m`, `2h`, `14d`, `8w`."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
LONGEST = timedelta(days=36_525)
_PATTERN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


def parse_duration(text: str) -> timedelta:
    """`"1.5h"` → 1 h 30 min. One number and one unit, at most a century; raises ValueError that says so."""
    matched = _PATTERN.fullmatch(text.strip())
    if matched is None:
        raise ValueError(f"{text!r} is not a duration: write a number and one of ms, s, m, h, d, w, such as 30s or 14d")
    try:
        duration = timedelta(**{_UNITS[matched[2]]: float(matched[1])})
    except OverflowError:
        duration = timedelta.max
    if duration > LONGEST:
        raise ValueError(f"{text!r} is longer than a century ({format_duration(LONGEST)}): write less")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` turns back into `duration`, in the largest whole unit."""
    milliseconds = round(duration.total_seconds() * 1000)
    for unit, size in (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def in_words(duration: timedelta) -> str:
    """About how long, with one decimal at most: `40 s`, `2.5 min`, `5.5 h`, `3 d`."""
    seconds = duration.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds, 1 if seconds < 10 else None):g} s"


def _from_text(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    if isinstance(value, timedelta):
        return value
    raise ValueError(f"{value!r} is not a duration: write a number and a unit in quotes or bare, such as 30s or 14d")


Duration = Annotated[
    timedelta,
    BeforeValidator(_from_text),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d|w)$", "examples": ["30s", "14d"]}),
]
