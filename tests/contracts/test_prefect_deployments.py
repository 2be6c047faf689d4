"""Prefect's real server is given the deployments of specs: made, changed, taken away, scheduled; others' stay."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from deployments.errors import BadInput
from deployments.local_platform.work_pool import WORK_POOL
from deployments.prefect_api import PrefectApi
from deployments.web_login.password import USER, credentials
from flows.deployment_apply import bring, skip_missed, wanted_by
from flows.deployment_plan import changes
from flows.entrypoints.cli import main
from flows.reports.schedules import schedules_report
from tasks.scheduled_run import SKIPPED
from tasks.training_turn import LIMIT
from tests.advice import followed
from tests.prefect_server import Prefect

ROOT = Path(__file__).parents[2]
_PATIENCE = 120.0
NIGHTLY = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "window": "-60d..-1d"}


def until(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


class Project:
    """Specs in a folder, and the Prefect that they are brought to."""

    def __init__(self, prefect: Prefect, api: PrefectApi) -> None:
        self.prefect, self.api = prefect, api
        self.specs = prefect.settings.specs_folder
        self.specs.mkdir(exist_ok=True)

    def write(self, product: str, **more: Any) -> None:
        flights = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
        document = flights | {"product": product} | more
        (self.specs / f"{product}.yaml").write_text(yaml.safe_dump(document))

    def apply(self) -> list[str]:
        """What was done, in words."""
        found = wanted_by(self.prefect.settings)
        differences = changes(found, self.api)
        bring(found, differences, self.api, self.prefect.settings, lambda _: None)
        return [each.sentence() for each in differences]

    def names(self) -> set[str]:
        return {f"{each['flow']}/{each['name']}" for each in self.api.deployments("seatrial", WORK_POOL)}


@pytest.fixture
def project(prefect: Prefect) -> Iterator[Project]:
    with PrefectApi(f"{prefect.url}/api", (USER, prefect.password)) as api:
        made = Project(prefect, api)
        yield made
        for spec in made.specs.glob("*.yaml"):
            spec.unlink()
        made.apply()


@pytest.fixture
def client(prefect: Prefect) -> Iterator[httpx.Client]:
    with prefect.client() as client:
        yield client


def test_prefect_becomes_what_the_specs_say_and_a_second_time_nothing_is_done(project: Project) -> None:
    project.write("arrivals", schedule=NIGHTLY)
    project.write("shop", schedule={"interval": "6h", "active": False})
    project.write("bikes")
    assert {"release/arrivals", "release/shop", "release/bikes"} <= {
        each.split()[1].rstrip(":") for each in project.apply()
    }
    assert project.apply() == []
    project.write("arrivals", schedule=NIGHTLY | {"timezone": "UTC"}, description="Late?")
    (project.specs / "bikes.yaml").unlink()
    changed, gone = project.apply()
    assert "0 3 * * * Europe/Berlin window -60d..-1d → 0 3 * * * UTC window -60d..-1d" in changed
    assert "description" in changed
    assert gone == "- release/bikes: its spec is gone"
    assert "release/bikes" not in project.names()
    assert project.apply() == []


def test_an_active_schedule_really_schedules_runs(project: Project) -> None:
    """Guards the SQLAlchemy pin: with 2.1, Prefect's scheduler fails silently and nothing is ever scheduled."""
    project.write("arrivals", schedule=NIGHTLY)
    project.write("shop", schedule=NIGHTLY | {"active": False})
    project.apply()
    assert until(lambda: len(schedules_report(project.api)["arrivals"]["next"]) == 3)
    report = schedules_report(project.api)
    first = report["arrivals"]["next"][0]
    assert datetime.fromisoformat(first["local"]).hour == 3
    assert datetime.fromisoformat(first["utc"]) == datetime.fromisoformat(first["local"])
    assert (report["arrivals"]["on"], report["shop"]["on"], report["shop"]["next"]) == (True, False, [])


def test_what_is_not_ours_stays(project: Project, client: httpx.Client) -> None:
    flow = client.post("/flows/", json={"name": "release"}).json()["id"]
    for name, tags in (("theirs", []), ("theirs-too", ["seatrial"]), ("odd", ["seatrial", "product:other"])):
        client.post("/deployments/", json={"name": name, "flow_id": flow, "tags": tags}).raise_for_status()
    project.write("arrivals")
    project.apply()
    for name in ("theirs", "theirs-too", "odd"):
        assert client.get(f"/deployments/name/release/{name}").status_code == 200
    project.write("theirs")
    with pytest.raises(BadInput) as refused:
        project.apply()
    assert followed("that is not Seatrial's (it has no tag ") in str(refused.value)
    (project.specs / "theirs.yaml").unlink()
    project.write("theirs-of-another-name")
    assert "release/theirs-of-another-name" in project.apply()[0]


def test_nothing_is_taken_away_while_a_spec_is_broken(project: Project) -> None:
    project.write("arrivals")
    project.write("shop")
    project.apply()
    (project.specs / "shop.yaml").write_text("product: shop")
    (project.specs / "arrivals.yaml").unlink()
    assert project.apply() == []
    assert {"release/arrivals", "release/shop"} <= project.names()


def test_of_a_fortnight_of_missed_runs_one_stays(project: Project, client: httpx.Client) -> None:
    project.write("arrivals", schedule=NIGHTLY)
    project.apply()
    now = datetime.now(UTC)
    deployment = client.get("/deployments/name/release/arrivals").json()["id"]
    missed = {"start_time": f"{now - timedelta(days=14)}", "end_time": f"{now}", "min_runs": 14, "max_runs": 14}
    client.post(f"/deployments/{deployment}/schedule", json=missed).raise_for_status()
    assert schedules_report(project.api)["arrivals"]["late"] == 14
    assert skip_missed(project.api, now) == 13
    assert schedules_report(project.api)["arrivals"]["late"] == 1
    ended = project.api.runs(deployment, ["CANCELLED"], newest=True, limit=20)
    assert {each["state_name"] for each in ended} == {SKIPPED}
    (left,) = (
        datetime.fromisoformat(each["expected_start_time"])
        for each in project.api.runs(deployment, ["SCHEDULED"], newest=False, limit=20)
        if datetime.fromisoformat(each["expected_start_time"]) < now
    )
    assert left > max(datetime.fromisoformat(each["expected_start_time"]) for each in ended)


# As runs see it that a worker has begun already.
SUPERSEDED = """
from datetime import UTC, datetime, timedelta
from uuid import UUID
from tasks.scheduled_run import ScheduledRun, why_left_out
now = datetime.now(UTC)
for days in (14, 7, 0):
    print(why_left_out(ScheduledRun(UUID("{deployment}"), now - timedelta(days=days), now), None, now))
"""


def test_a_run_that_has_begun_finds_out_that_a_later_one_stands_for_it(project: Project, client: httpx.Client) -> None:
    project.write("arrivals", schedule=NIGHTLY)
    project.apply()
    now = datetime.now(UTC)
    deployment = client.get("/deployments/name/release/arrivals").json()["id"]
    missed = {"start_time": f"{now - timedelta(days=3)}", "end_time": f"{now}", "min_runs": 3, "max_runs": 3}
    client.post(f"/deployments/{deployment}/schedule", json=missed).raise_for_status()
    oldest, older, newest = project.prefect.told(SUPERSEDED.format(deployment=deployment)).splitlines()
    assert "one run for all that were missed" in oldest
    assert oldest == older
    assert newest == "None"
    end_newest = {"type": "CANCELLED", "name": "Refused", "message": "not good enough"}
    (run,) = project.api.runs(deployment, ["SCHEDULED"], newest=False, limit=20)[2:3]
    client.post(f"/flow_runs/{run['id']}/set_state", json={"state": end_newest, "force": True}).raise_for_status()
    assert project.prefect.told(SUPERSEDED.format(deployment=deployment)).splitlines()[0] == oldest


TURNS = """
from tasks.training_turn import LIMIT, _one_of_all
from prefect.concurrency.sync import concurrency
def taken():
    try:
        with concurrency(LIMIT, timeout_seconds=1, strict=True):
            return False
    except TimeoutError:
        return True
with _one_of_all("shop"), _one_of_all("arrivals"):
    print(taken())
print(taken())
"""


def test_the_commands_say_what_to_do_next_and_that_is_enough(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prefect = project.prefect
    monkeypatch.setattr("deployments.settings.current", lambda: prefect.settings)
    monkeypatch.setenv("PREFECT_API_URL", f"{prefect.url}/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", credentials(prefect.password))

    def seatrial(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["seatrial", *arguments])
        code = main.run()
        said = capsys.readouterr()
        return code, said.out + said.err

    none = followed("has no product's deployment yet: `seatrial deploy` makes them of the specs")
    assert none in seatrial("schedules")[1]
    code, said = seatrial("deploy")
    assert code == 2
    assert followed(": name the folder that your specs are in; `seatrial init` makes a first one") in said
    project.write("arrivals", schedule=NIGHTLY)
    code, said = seatrial("apply")
    assert code == 2
    assert followed("say so with --yes, or look with --dry-run") in said
    assert "+ release/arrivals: schedule 0 3 * * * Europe/Berlin window -60d..-1d" in said
    assert seatrial("apply", "--dry-run", "--json")[0] == 0
    assert "release/arrivals" not in project.names()
    assert seatrial("apply", str(project.specs), "--yes")[0] == 0
    assert "nothing to do" in seatrial("apply")[1]
    assert json.loads(seatrial("deploy", "--json")[1]) == {"changes": [], "done": 0}
    assert "arrivals" in seatrial("schedules")[1]
    (project.specs / "shop.yaml").write_text("product: shop")
    assert seatrial("deploy")[0] == 2
    assert seatrial("deploy", "--skip-broken")[0] == 0


LACKING = """
from flows.parameters import ReleaseRequest
from flows.submission import run_detached
try:
    print(run_detached("release/arrivals", ReleaseRequest(product="arrivals"))["page"])
except Exception as error:
    print(error)
"""


def test_a_run_of_a_product_that_prefect_does_not_know_says_how_it_will(project: Project) -> None:
    assert followed(": `seatrial deploy` makes it") in project.prefect.told(LACKING)
    project.write("arrivals")
    project.apply()
    assert "/runs/flow-run/" in project.prefect.told(LACKING)


def test_no_more_products_are_trained_at_once_than_the_setting_says(project: Project, client: httpx.Client) -> None:
    project.apply()
    assert client.get(f"/v2/concurrency_limits/{LIMIT}").json()["limit"] == 2
    assert project.prefect.told(TURNS).split() == ["True", "False"]
    assert "SEATRIAL_TRAININGS_AT_ONCE" in followed(" at once by SEATRIAL_TRAININGS_AT_ONCE")
    more = project.prefect.settings.model_copy(update={"trainings_at_once": 3})
    bring(wanted_by(more), (), project.api, more, lambda _: None)
    assert project.prefect.told(TURNS).split() == ["False", "False"]


def test_a_slot_that_the_server_lost_sight_of_is_free_again(project: Project, client: httpx.Client) -> None:
    project.apply()
    client.patch(f"/v2/concurrency_limits/{LIMIT}", json={"active_slots": 2}).raise_for_status()
    project.apply()
    assert client.get(f"/v2/concurrency_limits/{LIMIT}").json()["active_slots"] == 0
