"""What comes next for every product, as Prefect has planned it, as JSON."""

from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from deployments.clock import SystemClock
from deployments.prefect_api import Document, PrefectApi
from flows.schedule_words import in_words

_OURS: Final = "seatrial"
_PRODUCT: Final = "product:"
_SHOWN: Final = 3
_ENDED: Final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED", "RUNNING", "PAUSED", "CANCELLING")


def schedules_report(api: PrefectApi) -> dict[str, Any]:
    """By product: its schedule in words, its zone, whether it is on, the next runs, and the last one.

    `on` is false where the spec, or a person on Prefect's page (`paused`), switched it off; None without a schedule.
    Moments are ISO 8601, each in UTC and in the schedule's zone. `late` are runs whose time has passed, not begun yet.
    """
    report: dict[str, Any] = {}
    for deployment in api.deployments(_OURS):
        for tag in deployment["tags"]:
            if tag == f"{_PRODUCT}{deployment['name']}":
                report[deployment["name"]] = _facts(deployment, api)
    return dict(sorted(report.items()))


def _facts(deployment: Document, api: PrefectApi) -> dict[str, Any]:
    found = deployment["schedules"]
    planned = api.runs(deployment["id"], ["SCHEDULED"], newest=False, limit=50)
    last = api.runs(deployment["id"], _ENDED, newest=True, limit=1)
    zone = next((each["schedule"].get("timezone") for each in found), None) or "UTC"
    now = SystemClock().now()
    moments = [datetime.fromisoformat(run["expected_start_time"]) for run in planned if run["auto_scheduled"]]
    return {
        "schedule": ", ".join(in_words(each) for each in found) or None,
        "timezone": zone if found else None,
        "on": any(each["active"] for each in found) and not deployment["paused"] if found else None,
        "paused": deployment["paused"],
        "next": [_in_zone(moment, zone) for moment in moments if moment > now][:_SHOWN],
        "late": sum(1 for moment in moments if moment <= now),
        "last": _last(last[0]) if last else None,
    }


def _in_zone(moment: datetime, zone: str) -> dict[str, str]:
    return {"utc": moment.astimezone(UTC).isoformat(), "local": moment.astimezone(ZoneInfo(zone)).isoformat()}


def _last(run: Document) -> dict[str, Any]:
    started = run["start_time"] or run["expected_start_time"]
    state = run["state"] or {}
    return {
        "run": run["id"],
        "name": run["name"],
        "at": datetime.fromisoformat(started).astimezone(UTC).isoformat(),
        "state": run["state_name"],
        "message": state.get("message") or None,
        "by_schedule": run["auto_scheduled"],
    }
