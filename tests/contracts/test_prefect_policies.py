"""Prefect's real server gets the policies of a folder: automations and the limit of trainings; others' stay."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.errors import BadInput
from deployments.prefect_api import PrefectApi
from deployments.settings import Settings
from deployments.web_login.password import USER, credentials
from flows.deployment_apply import bring, wanted_by
from flows.entrypoints.cli import main
from flows.policies import policy_changes
from tasks.training_turn import LIMIT
from tests.advice import followed
from tests.prefect_server import Prefect

ROOT = Path(__file__).parents[2]
TRIGGER = {"type": "event", "posture": "Reactive", "expect": ["prefect.flow-run.Refused"], "threshold": 1}
PAUSE = {"type": "pause-automation", "source": "inferred"}


class Folder:
    """A project's folder, and the Prefect that it is brought to."""

    def __init__(self, place: Path, prefect: Prefect, api: PrefectApi) -> None:
        self.specs, self.api, self.settings = place / "specs", api, prefect.settings
        self.specs.mkdir()
        (place / "automations").mkdir()
        flights = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
        (self.specs / "flights.yaml").write_text(yaml.safe_dump(flights | {"product": "policed"}))

    def write(self, file: str, document: Any) -> Path:
        path = self.specs.parent / "automations" / f"{file}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def apply(self, **changed: Any) -> list[str]:
        """What was done, in words."""
        settings = Settings(home=self.settings.home, project=self.settings.project, **changed)
        differences = policy_changes(self.specs, settings, self.api)
        bring(wanted_by(settings, self.specs), differences, self.api, settings, lambda _: None)
        return [each.sentence() for each in differences]

    def automation(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.api.automations() if each["name"] == name]
        return found


@pytest.fixture
def folder(tmp_path: Path, prefect: Prefect) -> Iterator[Folder]:
    with PrefectApi(f"{prefect.url}/api", (USER, prefect.password)) as api:
        api.set_limit(LIMIT, 2)
        made = Folder(tmp_path, prefect, api)
        yield made
        for each in api.automations():
            api.delete_automation(each["id"])


def automation(name: str = "told", **more: Any) -> dict[str, Any]:
    return {"name": name, "trigger": TRIGGER, "actions": [PAUSE]} | more


def test_automations_become_what_the_folder_says_and_a_second_time_nothing_is_done(folder: Folder) -> None:
    file = folder.write("one", automation())
    folder.write("more", {"automations": [automation("second"), automation("third", enabled=False)]})
    assert folder.apply() == ["+ automation second", "+ automation third", "+ automation told"]
    assert folder.apply() == []
    assert set(folder.automation("told")["tags"]) == {"seatrial", "policy"}
    folder.write("one", automation(description="a refusal", trigger=TRIGGER | {"within": 60}))
    assert folder.apply() == ["~ automation told: description, trigger"]
    assert folder.automation("told")["trigger"]["within"] == 60
    assert folder.apply() == []
    file.unlink()
    assert folder.apply() == ["- automation told: its file is gone"]
    assert {each["name"] for each in folder.api.automations()} == {"second", "third"}


def test_what_is_not_ours_stays(folder: Folder) -> None:
    for tags in ([], ["seatrial"], ["policy"]):
        folder.api.put_automation(automation("theirs", tags=tags, enabled=False), None)
    before = folder.api.automations()
    folder.write("one", automation("theirs"))
    assert folder.apply() == ["+ automation theirs"]
    (folder.specs.parent / "automations" / "one.yaml").unlink()
    assert folder.apply() == ["- automation theirs: its file is gone"]
    assert folder.api.automations() == before


def test_what_a_person_switched_off_on_prefects_page_stays_so_unless_the_file_says_otherwise(folder: Folder) -> None:
    folder.write("one", automation())
    folder.apply()
    there = folder.automation("told")
    folder.api.put_automation(automation(tags=there["tags"], enabled=False), there["id"])
    assert folder.apply() == []
    folder.write("one", automation(description="another"))
    assert folder.apply() == ["~ automation told: description"]
    assert folder.automation("told")["enabled"] is False
    folder.write("one", automation(description="another", enabled=True))
    assert folder.apply() == ["~ automation told: enabled"]
    assert folder.automation("told")["enabled"] is True


def test_an_action_names_the_deployment_that_it_runs(folder: Folder) -> None:
    run = {"type": "run-deployment", "deployment": "release/policed", "parameters": {}}
    folder.write("one", automation(actions=[run]))
    with pytest.raises(BadInput) as error:
        folder.apply()
    assert followed("Prefect has no such deployment: name one that it has") in str(error.value)
    made = folder.api.create_deployment("release", "policed", {"entrypoint": "flows.release.release"})
    assert folder.apply() == ["+ automation told"]
    assert folder.automation("told")["actions"][0]["deployment_id"] == made
    assert folder.apply() == []
    folder.api.delete_deployment(made)


def test_the_limit_of_trainings_is_shown_and_set(folder: Folder) -> None:
    assert folder.apply(trainings_at_once=3) == [f"~ limit {LIMIT}: 2 → 3 trainings at once"]
    assert folder.api.limit(LIMIT) == 3
    assert folder.apply(trainings_at_once=3) == []


@pytest.mark.parametrize(
    ("document", "advice"),
    [
        ([1], followed(" is no automation: write name, trigger and actions")),
        ({"automations": {"a": 1}}, "is no automation"),
        ({"name": "x", "trigger": {"type": "event", "posture": "Odd"}, "actions": []}, "trigger"),
        ([automation(), automation()], followed(" stands there twice: give one another name")),
    ],
)
def test_a_file_that_is_no_automation_is_named_and_changes_nothing(folder: Folder, document: Any, advice: str) -> None:
    folder.write("odd", document)
    with pytest.raises(BadInput, match=r"odd|'x'") as error:
        folder.apply()
    assert advice in str(error.value)
    folder.write("odd", automation())
    assert folder.apply() == ["+ automation told"]


def test_a_file_that_is_no_yaml_is_named(folder: Folder) -> None:
    file = folder.write("odd", automation())
    good = file.read_text()
    file.write_text("a: [")
    with pytest.raises(BadInput, match=r"odd\.yaml cannot be read") as error:
        folder.apply()
    assert followed("): write it as YAML", "flows/policies.py") in str(error.value)
    file.write_text(good)
    assert folder.apply() == ["+ automation told"]


def test_apply_shows_policies_beside_deployments(
    folder: Folder, prefect: Prefect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write("one", automation())
    monkeypatch.setenv("PREFECT_API_URL", f"{prefect.url}/api")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", credentials(prefect.password))
    monkeypatch.setattr("sys.argv", ["seatrial", "apply", str(folder.specs), "--dry-run", "--json"])
    assert main.run() == 0
    shown = json.loads(capsys.readouterr().out)
    assert {"what": "make", "automation": "told", "fields": []} in shown["changes"]
    assert {each.get("deployment") for each in shown["changes"]} >= {"release/policed"}
    assert folder.api.automations() == ()
