"""The forms on Prefect's pages begin with products of the folder that `seatrial up` was called in."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.errors import BadInput
from deployments.local_platform.prefect_deployments import prefect_file, products_in
from deployments.settings import Settings
from flows.deployment_definitions import definitions, schedules_of
from flows.parameters import RetryRequest, SteerRequest
from tasks.schedule_spec import ScheduleSection
from tests.advice import followed

ROOT = Path(__file__).parents[4]
OWN = """
deployments:
  - name: weekly
    entrypoint: flows.release.release
    tags: [mine]
    parameters: {request: {product: shop}}
    work_pool: {name: large}
    schedules: [{cron: "0 6 * * 1"}]
  - name: shop
    entrypoint: flows.release.release
    tags: [seatrial, "product:shop"]
    work_pool: {name: large, job_variables: {resources: {limits: {memory: 32Gi}}}}
  - name: gone
    entrypoint: flows.release.release
    tags: [seatrial, "product:gone"]
    work_pool: {name: large}
  - name: on-drift
    entrypoint: flows.release.release
    work_pool: {name: large}
    triggers: [{type: event, expect: [drift]}]
"""


def settings_with(folder: Path, *specs: str) -> Settings:
    (folder / "specs").mkdir()
    flights = yaml.safe_load((ROOT / "specs" / "flights.yaml").read_text())
    for name in specs:
        document = flights | {"product": Path(name).stem, "description": f"of {name}"}
        (folder / "specs" / name).write_text(yaml.safe_dump(document))
    return Settings(home=folder / "home", project=folder)


def defaults(settings: Settings) -> dict[str, Any]:
    """By deployment, the product that its form begins with."""
    wanted = definitions(*prefect_file(settings), settings.specs_folder).wanted
    return {each.address: each.fields["parameters"].get("request", {}).get("product") for each in wanted}


def test_the_only_product_is_in_every_form(tmp_path: Path) -> None:
    found = defaults(settings_with(tmp_path, "shop.yaml"))
    assert set(found) == {"release/shop", "rollback/rollback", "retry/retry", "steer/steer", "rollout/rollout"}
    assert set(found.values()) == {"shop"}


def test_of_several_each_has_its_own_release_and_none_is_steered_by_default(tmp_path: Path) -> None:
    found = defaults(settings_with(tmp_path, "shop.yaml", "bikes.yml", "bikes.suite.json"))
    assert {found.pop("release/shop"), found.pop("release/bikes")} == {"shop", "bikes"}
    assert set(found.values()) == {None}


def test_an_empty_folder_names_nothing(tmp_path: Path) -> None:
    assert set(defaults(settings_with(tmp_path)).values()) == {None}


def test_a_prefect_file_of_ones_own_says_where_a_product_is_released_and_what_stands_beside_it(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "shop.yaml", "bikes.yaml")
    (tmp_path / "prefect.yaml").write_text(OWN)
    found = definitions(*prefect_file(settings), settings.specs_folder)
    by_name = {each.address: each.fields for each in found.wanted}
    assert set(by_name) == {"release/shop", "release/bikes", "release/weekly"}
    assert by_name["release/shop"]["job_variables"] == {"resources": {"limits": {"memory": "32Gi"}}}
    assert by_name["release/shop"]["description"] == "of shop.yaml"
    assert by_name["release/bikes"]["work_pool_name"] == found.pool == "large"
    assert [each["schedule"]["cron"] for each in by_name["release/weekly"]["schedules"]] == ["0 6 * * 1"]
    assert found.left == ("on-drift",)


def test_a_spec_that_cannot_be_used_is_named_and_so_is_a_product_that_has_two(tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "shop.yaml", "bikes.yaml")
    (tmp_path / "specs" / "bikes.yaml").write_text("product: bikes")
    (tmp_path / "specs" / "shop2.yaml").write_text((tmp_path / "specs" / "shop.yaml").read_text())
    broken = definitions(*prefect_file(settings), settings.specs_folder).broken
    assert {path.name for path in broken} == {"bikes.yaml", "shop2.yaml"}
    assert "shop has a spec already" in broken[tmp_path / "specs" / "shop2.yaml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", followed("): write it as YAML", "flows/deployment_definitions.py")),
        ("- a", followed(" is no prefect.yaml: write a mapping with deployments in it")),
        (OWN.replace("flows.release.release", "flows.release.relase"), followed(": write MODULE.FUNCTION")),
    ],
)
def test_a_prefect_file_that_cannot_be_used_says_what_to_write(text: str, said: str, tmp_path: Path) -> None:
    settings = settings_with(tmp_path, "shop.yaml")
    (tmp_path / "prefect.yaml").write_text(text)
    with pytest.raises(BadInput) as refused:
        definitions(*prefect_file(settings), settings.specs_folder)
    assert said in str(refused.value)
    (tmp_path / "prefect.yaml").write_text(OWN)
    assert definitions(*prefect_file(settings), settings.specs_folder).wanted


def test_a_schedule_is_prefects_own(tmp_path: Path) -> None:
    cron = ScheduleSection(cron="0 3 * * *", timezone="Europe/Berlin", window="-60d..-1d")
    (made,) = schedules_of("shop", cron)
    assert made["schedule"] == {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "day_or": True}
    assert made["parameters"] == {"request": {"product": "shop", "window": "-60d..-1d"}}
    (made,) = schedules_of("shop", ScheduleSection.model_validate({"interval": "6h", "active": False}))
    assert (made["schedule"]["interval"], made["active"], made["parameters"]) == (21_600.0, False, {})


@pytest.mark.parametrize("request_model", [RetryRequest, SteerRequest])
def test_examples_are_the_products_of_the_folder(
    request_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(tmp_path, "shop.yaml", "arrivals.yaml")
    assert products_in(settings.specs_folder) == ("arrivals", "shop")
    monkeypatch.setattr("flows.parameters.current", lambda: settings)
    request_model.__pydantic_complete__ and request_model.model_rebuild(force=True)
    assert request_model.model_json_schema()["properties"]["product"]["examples"] == ["arrivals", "shop"]
