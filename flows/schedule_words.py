"""A schedule of Prefect's in words."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from deployments.durations import format_duration


def in_words(schedule: Mapping[str, Any]) -> str:
    """A schedule as Prefect's API has it, for people: `0 3 * * * Europe/Berlin`, `every 1d`, `(off)` behind it."""
    when = schedule["schedule"]
    if "cron" in when:
        told = f"{when['cron']} {when.get('timezone') or 'UTC'}"
    elif "interval" in when:
        told = f"every {format_duration(timedelta(seconds=float(when['interval'])))}"
    else:
        told = str(when.get("rrule", when))
    window = (schedule.get("parameters") or {}).get("request", {}).get("window")
    return told + (f" window {window}" if window else "") + ("" if schedule["active"] else " (off)")
