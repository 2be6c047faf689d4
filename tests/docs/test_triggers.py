"""What docs/triggers.md says of deployments and schedules."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import yaml
from prefect.server.schemas.schedules import CronSchedule

from deployments.prefect_api import PrefectApi
from deployments.settings import Settings
from flows.deployment_definitions import definitions
from flows.policies import policy_changes
from tasks.schedule_spec import ScheduleSection
from tasks.scheduled_run import LATE
from tasks.training_turn import LIMIT
from tests.docs.claims import claim
from tests.docs.pages import ROOT, blocks

BERLIN = ZoneInfo("Europe/Berlin")


def in_utc(moments: list[datetime]) -> list[str]:
    """To the minute; an aware time in the hour that comes twice equals none of another zone (PEP 495)."""
    return [f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}" for moment in moments]


@claim(
    "docs/triggers.md",
    "At a time that the spring leaves out (02:30 in Berlin) it runs an hour earlier, at the 01:30 before the gap; of "
    "the hour that comes twice in autumn the first one counts.",
)
def test_a_night_on_which_clocks_change_has_one_run() -> None:
    schedule = CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin")
    spring = asyncio.run(schedule.get_dates(n=1, start=datetime(2027, 3, 27, 12, tzinfo=BERLIN)))
    autumn = asyncio.run(schedule.get_dates(n=2, start=datetime(2026, 10, 24, 12, tzinfo=BERLIN)))
    assert in_utc(spring) == ["2027-03-28 00:30"]
    assert in_utc(autumn) == ["2026-10-25 00:30", "2026-10-26 01:30"]


@claim("docs/triggers.md", "An interval is time that passes, counted from Monday 2024-01-01 00:00 UTC;")
def test_a_weekly_interval_begins_on_mondays() -> None:
    weekly = ScheduleSection(interval=timedelta(days=7))
    moments = list(islice(weekly.following(datetime(2026, 10, 20, tzinfo=UTC)), 3))
    assert [f"{moment:%a %H:%M}" for moment in moments] == ["Mon 00:00"] * 3


@claim("docs/triggers.md", "A run is missed if it begins more than 15 minutes after its time;")
@claim("docs/triggers.md", "Over all products two trainings run at once; `SEATRIAL_TRAININGS_AT_ONCE` changes that.")
@claim("docs/triggers.md", "It is the concurrency limit `seatrial-training` on Prefect's page Concurrency,")
def test_the_page_has_the_figures_of_the_code() -> None:
    assert timedelta(minutes=15) == LATE
    assert Settings.model_fields["trainings_at_once"].default == 2
    assert LIMIT == "seatrial-training"


@claim("docs/triggers.md", "Each spec in `specs/` is a deployment `release/PRODUCT` of Prefect:")
@claim(
    "docs/triggers.md",
    "For all products there are `retry`, `rollback`, `steer` and `rollout`, as `prefect.yaml` has",
)
def test_this_projects_deployments_are_its_specs_and_four_more() -> None:
    found = definitions(ROOT / "prefect.yaml", True, ROOT / "specs")
    releases = {f"release/{path.stem}" for path in (ROOT / "specs").glob("*.yaml")}
    common = {f"{name}/{name}" for name in ("rollback", "retry", "steer", "rollout")}
    assert {each.address for each in found.wanted} == releases | common


@claim("docs/triggers.md", "An action may name its deployment as `FLOW/NAME`.")
def test_the_automation_of_the_page_is_one_that_prefect_takes(tmp_path: Path) -> None:
    _, shown = (block.text for block in blocks("docs/triggers.md") if block.language == "yaml")
    (tmp_path / "automations").mkdir()
    (tmp_path / "automations" / "told.yaml").write_text(shown)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/automations/filter"):
            return httpx.Response(200, json=[])
        known = request.url.path.endswith("/release/flights")
        return httpx.Response(200, json={"id": str(uuid4())}) if known else httpx.Response(404)

    with PrefectApi("http://prefect/api", transport=httpx.MockTransport(answer)) as api:
        told = [each.sentence() for each in policy_changes(tmp_path / "specs", Settings(), api)]
    assert told == ["+ limit seatrial-training: 2 trainings at once", "+ automation a refusal is told"]


def test_the_schedule_of_the_page_is_one() -> None:
    shown, _ = (block.text for block in blocks("docs/triggers.md") if block.language == "yaml")
    section = ScheduleSection.model_validate(yaml.safe_load(shown)["schedule"])
    assert (section.cron, section.window) == ("0 3 * * *", "-60d..-1d")
