"""The forms on Prefect's pages begin with products of the folder that `seatrial up` was called in."""

from pathlib import Path
from typing import Any

import pytest

from deployments.local_platform.prefect_deployments import flows_of, products_in
from deployments.settings import Settings
from flows.parameters import ReleaseRequest, SteerRequest


def settings_with(folder: Path, *specs: str) -> Settings:
    (folder / "specs").mkdir()
    for name in specs:
        (folder / "specs" / name).write_text("product: x")
    return Settings(home=folder / "home", project=folder)


def defaults(settings: Settings) -> dict[str, Any]:
    """By deployment, the product that its form begins with."""
    return {
        each["name"]: each["parameters"].get("request", {}).get("product") for each in flows_of(settings)["deployments"]
    }


def test_the_only_product_is_in_every_form(tmp_path: Path) -> None:
    assert set(defaults(settings_with(tmp_path, "shop.yaml")).values()) == {"shop"}


@pytest.mark.parametrize("specs", [[], ["shop.yaml", "bikes.yml", "bikes.suite.json"]])
def test_of_several_or_none_nothing_is_steered_by_default(tmp_path: Path, specs: list[str]) -> None:
    assert set(defaults(settings_with(tmp_path, *specs)).values()) == {None}


@pytest.mark.parametrize("request_model", [ReleaseRequest, SteerRequest])
def test_examples_are_the_products_of_the_folder(
    request_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_with(tmp_path, "shop.yaml", "arrivals.yaml")
    assert products_in(settings.specs_folder) == ("arrivals", "shop")
    monkeypatch.setattr("flows.parameters.current", lambda: settings)
    request_model.__pydantic_complete__ and request_model.model_rebuild(force=True)
    assert request_model.model_json_schema()["properties"]["product"]["examples"] == ["arrivals", "shop"]
