"""What is deployed of a project's specs, and what is taken away."""

import json
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import httpx
import pytest
import yaml

from deployments.prefect_api import PrefectApi
from deployments.settings import Settings
from flows.entrypoints.cli import schedules
from flows.entrypoints.runner import deploy_flows
from flows.entrypoints.runner.deploy_flows import deploy, platform_tag

ROOT = Path(__file__).parents[3]
SCHEDULE = "schedule: {cron: '0 3 * * *', timezone: Europe/Berlin, window: 60d}\n"


class Prefect:
    """Keeps deployments as Prefect does: `prefect deploy` writes them, the REST API reads and deletes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.deployed: list[list[str]] = []
        self.planned: list[str] = []
        api = PrefectApi("http://prefect/api", transport=httpx.MockTransport(self._answer))
        monkeypatch.setattr(deploy_flows, "prefect_rest", lambda _: api)
        monkeypatch.setattr("deployments.local_platform.prefect_address.prefect_rest", lambda _: api)
        monkeypatch.setattr(deploy_flows.subprocess, "run", self._deploy)

    def _deploy(self, command: list[str], **_: object) -> "subprocess.CompletedProcess[str]":
        entries = yaml.safe_load(Path(command[-1]).read_text())["deployments"]
        self.deployed.append([each["name"] for each in entries])
        for each in entries:
            self.there[each["name"]] = each
        return subprocess.CompletedProcess(command, 0)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        by_id = {str(uuid5(UUID(int=0), name)): name for name in self.there}
        if request.method == "DELETE":
            del self.there[by_id[request.url.path.rpartition("/")[2]]]
            return httpx.Response(204)
        asked = json.loads(request.content)
        if request.url.path.endswith("/flow_runs/filter"):
            return httpx.Response(200, json=[{"expected_start_time": at} for at in self.planned])
        (tag,) = asked["deployments"]["tags"]["all_"]
        found = [
            {
                "id": number,
                "name": name,
                "entrypoint": self.there[name]["entrypoint"],
                "version": self.there[name].get("version"),
                "schedules": [
                    {"schedule": plan, "active": plan["active"]} for plan in self.there[name].get("schedules", [])
                ],
            }
            for number, name in by_id.items()
            if tag in self.there[name].get("tags", [])
        ]
        return httpx.Response(200, json=found)


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Prefect:
    return Prefect(monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "specs").mkdir()
    return Settings(home=tmp_path / "home", project=tmp_path)


def write(settings: Settings, product: str, more: str = "") -> None:
    text = (ROOT / "specs" / "bikeshare.yaml").read_text().replace("product: bikeshare", f"product: {product}")
    (settings.project / "specs" / f"{product}.yaml").write_text(text + "\n" + more)


def test_each_spec_has_a_release_with_its_product_description_and_schedule(
    prefect: Prefect, settings: Settings
) -> None:
    write(settings, "bikes")
    write(settings, "shop", SCHEDULE)
    assert deploy(settings, only_changed=True) == 0
    assert {"bikes", "shop", "rollback", "retry", "steer", "rollout"} == set(prefect.there)
    shop = prefect.there["shop"]
    assert (shop["entrypoint"], shop["parameters"]) == ("flows.release.release", {"request": {"product": "shop"}})
    assert shop["description"] == prefect.there["bikes"]["description"] != ""
    (plan,) = shop["schedules"]
    assert (plan["cron"], plan["timezone"], plan["active"]) == ("0 3 * * *", "Europe/Berlin", True)
    assert plan["parameters"] == {"request": {"product": "shop", "window": "60d"}}
    assert prefect.there["bikes"]["schedules"] == []


def test_only_what_changed_is_deployed_again_and_nothing_if_nothing_did(prefect: Prefect, settings: Settings) -> None:
    write(settings, "bikes")
    write(settings, "shop")
    deploy(settings, only_changed=True)
    deploy(settings, only_changed=True)
    write(settings, "shop", SCHEDULE)
    deploy(settings, only_changed=True)
    assert prefect.deployed[1:] == [["shop"]]
    deploy(settings, only_changed=False)
    assert {"bikes", "shop"} < set(prefect.deployed[-1])


def test_a_spec_that_is_gone_takes_its_release_away_and_what_is_not_ours_stays(
    prefect: Prefect, settings: Settings
) -> None:
    write(settings, "bikes")
    write(settings, "shop")
    deploy(settings, only_changed=True)
    prefect.there["theirs"] = {"entrypoint": "flows.release.release", "tags": ["seatrial", "deployed by another"]}
    (settings.project / "specs" / "bikes.yaml").unlink()
    deploy(settings, only_changed=True)
    assert "bikes" not in prefect.there
    assert {"shop", "theirs", "rollback"} <= set(prefect.there)


def test_a_spec_that_cannot_be_read_keeps_its_release_and_says_why(
    prefect: Prefect, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings, "shop", SCHEDULE)
    write(settings, "bikes")
    deploy(settings, only_changed=True)
    write(settings, "shop", "schedule: {cron: never}\n")
    assert deploy(settings, only_changed=True) == 0
    assert prefect.there["shop"]["schedules"][0]["cron"] == "0 3 * * *"
    assert "the release of shop stays as it was" in (said := capsys.readouterr().out)
    assert "write five fields" in said


def test_flows_of_a_prefect_yaml_of_ones_own_come_beside_the_releases(prefect: Prefect, settings: Settings) -> None:
    write(settings, "shop")
    own = {"name": "mine", "deployments": [{"name": "nightly", "entrypoint": "flows.retry.retry", "tags": ["x"]}]}
    (settings.project / "prefect.yaml").write_text(yaml.safe_dump(own))
    deploy(settings, only_changed=True)
    assert set(prefect.there) == {"nightly", "shop"}
    assert prefect.there["nightly"]["tags"] == ["x", platform_tag(settings)]


@pytest.mark.parametrize("text", ["deployments: 3", "- a", "a: [", "x"])
def test_a_prefect_yaml_that_is_none_is_named(
    prefect: Prefect, settings: Settings, monkeypatch: pytest.MonkeyPatch, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (settings.project / "prefect.yaml").write_text(text)
    monkeypatch.setattr(deploy_flows, "current", lambda: settings)
    assert deploy_flows.main(["--changed"]) == 2
    assert f"{settings.project}/prefect.yaml" in capsys.readouterr().out
    assert not prefect.deployed


def test_schedules_are_shown_in_their_own_zone(
    prefect: Prefect, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(settings, "shop", SCHEDULE)
    write(settings, "bikes")
    deploy(settings, only_changed=True)
    prefect.planned = ["2027-03-27T02:00:00+00:00", "2027-03-28T01:00:00+00:00"]
    monkeypatch.setattr("deployments.settings.current", lambda: settings)
    found = schedules.schedules_report()
    assert {each["product"] for each in found} == {"bikes", "shop"}
    schedules.print_schedules(found)
    shown = capsys.readouterr().out
    assert "shop: 0 3 * * * (Europe/Berlin): Sat 27 Mar 03:00, Sun 28 Mar 03:00" in shown
    assert "bikes: no schedule" in shown
