"""The report of `seatrial schedules`: what comes next for every product, as Prefect has planned it.

In the table times are UTC where the column, or the zone beside them, says nothing else.
"""

from datetime import datetime
from typing import Any

from flows.entrypoints import console


def print_schedules(report: dict[str, Any]) -> None:
    """For people."""
    if not report:
        console.say("Prefect has no product's deployment yet: `seatrial deploy` makes them of the specs")
        return
    columns = ("product", "schedule", "on", "next (UTC)", "next (in its zone)", "last run (UTC)")
    console.print_table("Schedules", columns, [_row(name, facts) for name, facts in report.items()])


def _row(name: str, facts: dict[str, Any]) -> tuple[object, ...]:
    following = facts["next"][0] if facts["next"] else None
    last = facts["last"]
    on = {True: "on", False: "off", None: ""}[facts["on"]]
    return (
        name,
        facts["schedule"] or "none: released when asked for",
        f"{on} (paused in Prefect)" if facts["paused"] and facts["schedule"] else on,
        _minute(following["utc"]) if following else "",
        f"{_minute(following['local'])} {facts['timezone']}" if following else "",
        f"{_minute(last['at'])} {last['state']}" if last else "",
    )


def _minute(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M}"
