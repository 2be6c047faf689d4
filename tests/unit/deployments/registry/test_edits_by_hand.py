"""The registry after somebody edited MLflow by hand."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadArtifact, NotFound
from deployments.registry import DeploymentStatus, ModelRegistry
from deployments.registry.mlflow_client import connect
from deployments.registry.registry_diff import Became, Standing
from deployments.settings import Settings
from tests.unit.deployments.registry.a_registry import MONDAY, TUESDAY, facts, registered, stored
from tests.unit.tasks.models.real_mlflow import settings_in

# v1 was champion, v2 is, v3 was registered.
WANTED = Standing(
    champion=2,
    previous=1,
    versions={
        1: Became(DeploymentStatus.RETIRED, MONDAY),
        2: Became(DeploymentStatus.LIVE, TUESDAY, 1),
        3: Became(DeploymentStatus.REGISTERED),
    },
)


def _filled(folder: Path) -> Settings:
    """Three versions, of which v2 serves."""
    settings = settings_in(folder)
    made = ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    for content in ("first", "second", "third"):
        registered(made, settings, content)
    made.promote("flights", 1, MONDAY, None)
    made.promote("flights", 2, TUESDAY, 1)
    for version in (1, 2):
        made.fetch("flights", version, settings.models)
    return settings


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home to be copied; the files of its runs stay where they are, and are not for tests to change."""
    return _filled(tmp_path_factory.mktemp("filled")).home


@pytest.fixture
def settings(filled: Path, tmp_path: Path) -> Settings:
    shutil.copytree(filled, tmp_path / "home")
    return Settings(home=tmp_path / "home", project=tmp_path)


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(settings.mlflow_uri, settings.keys_folder)


@pytest.fixture
def mlflow(registry: ModelRegistry, settings: Settings) -> Any:
    """MLflow's own client: what a person edits with."""
    return connect(settings.mlflow_uri)


def tag(name: str, value: str, version: str = "1") -> Callable[[Any], None]:
    return lambda client: client.set_model_version_tag("flights", version, f"seatrial.{name}", value)


def no_tag(name: str, version: str = "1") -> Callable[[Any], None]:
    return lambda client: client.delete_model_version_tag("flights", version, f"seatrial.{name}")


UNREADABLE: dict[str, Callable[[Any], None]] = {
    "no status": tag("status", "Archived"),
    "no status of ours": tag("status", "unreadable"),
    "an empty status": tag("status", ""),
    "no status at all": no_tag("status"),
    "broken JSON": tag("metrics", '{"roc_auc": 0.7'),
    "metrics that are no numbers": tag("metrics", '{"roc_auc": "good"}'),
    "a list for a mapping": tag("manifest", "[]"),
    "deep JSON": tag("hyperparameters", "[" * 4900),
    "a number for a name": tag("trusted_types", "[1]"),
    "no time": tag("created_at", "yesterday"),
    "no time of deployment": tag("deployed_at", "never"),
    "no version": tag("rollback_version", "the one before"),
    "no size": tag("size_mb", "big"),
    "a missing tag": no_tag("manifest"),
}


@pytest.mark.parametrize("edit", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_of_one_version_is_told_and_hides_nothing(
    registry: ModelRegistry, mlflow: Any, edit: Callable[[Any], None]
) -> None:
    edit(mlflow)
    first, second, _ = registry.versions("flights")
    assert len(first.problems) == 1
    assert "the tag seatrial." in first.problems[0]
    assert first.aliases == ("previous",)
    assert second.problems == ()
    assert registry.products() == ("flights",)
    assert registry.differences("flights", WANTED)


@pytest.mark.parametrize("edit", UNREADABLE.values(), ids=UNREADABLE)
def test_a_promotion_and_a_rollback_end_whatever_stands_in_the_tags_of_another_version(
    registry: ModelRegistry, mlflow: Any, edit: Callable[[Any], None]
) -> None:
    edit(mlflow)
    assert registry.promote("flights", 3, TUESDAY, 2).aliases == ("champion",)
    assert registry.reinstate("flights", 2, TUESDAY, 3).aliases == ("champion",)
    assert registry.get("flights", 3).status is DeploymentStatus.ROLLED_BACK


def test_a_version_that_was_fetched_is_had_though_its_manifest_cannot_be_read(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    tag("manifest", "{")(mlflow)
    assert registry.fetch("flights", 1, settings.models) == settings.models / "flights" / "v1"


HANDS: dict[str, Callable[[Any], Any]] = {
    "champion removed": lambda client: client.delete_registered_model_alias("flights", "champion"),
    "champion moved": lambda client: client.set_registered_model_alias("flights", "champion", "3"),
    "previous moved": lambda client: client.set_registered_model_alias("flights", "previous", "3"),
    "a challenger of one's own": lambda client: client.set_registered_model_alias("flights", "challenger", "3"),
    "champion not live": tag("status", "refused", "2"),
    "another one live": tag("status", "live", "3"),
    "deploying without a rollout": tag("status", "deploying", "3"),
    "a champion without a time": no_tag("deployed_at", "2"),
    "a champion without a predecessor": no_tag("rollback_version", "2"),
    "a champion with another predecessor": tag("rollback_version", "3", "2"),
    **{name: UNREADABLE[name] for name in ("no status", "no status at all", "no time of deployment", "no version")},
}


@pytest.mark.parametrize("edit", HANDS.values(), ids=HANDS)
def test_one_repair_makes_aliases_and_tags_agree(
    registry: ModelRegistry, mlflow: Any, edit: Callable[[Any], Any]
) -> None:
    before = registry.versions("flights")
    assert registry.differences("flights", WANTED) == ()
    edit(mlflow)
    assert registry.differences("flights", WANTED)
    assert registry.repair("flights", WANTED)
    assert registry.differences("flights", WANTED) == registry.repair("flights", WANTED) == ()
    assert registry.versions("flights") == before


def test_a_name_on_a_version_that_is_not_ours_names_nobody(registry: ModelRegistry, mlflow: Any) -> None:
    mlflow.create_model_version("flights", "file:///elsewhere")
    for alias in ("champion", "challenger", "previous"):
        mlflow.set_registered_model_alias("flights", alias, "4")
    assert registry.champion("flights") is registry.challenger("flights") is registry.previous("flights") is None
    assert "the alias champion is on v4, not on v2" in registry.differences("flights", WANTED)
    assert registry.promote("flights", 3, TUESDAY, 2).rollback_version == 2


def test_a_deleted_version_is_beyond_repair_and_is_had_from_its_folder(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    mlflow.delete_model_version("flights", "2")
    assert registry.champion("flights") is None
    registry.repair("flights", WANTED)
    assert registry.differences("flights", WANTED) == (
        "v2 (champion) is not in the registry any more, or is not Seatrial's there",
    )
    assert registry.fetch("flights", 2, settings.models) == settings.models / "flights" / "v2"
    with pytest.raises(NotFound):
        registry.fetch("flights", 2, settings.home / "elsewhere")
    assert registry.promote("flights", 3, TUESDAY, 2).version == 3
    registry.reinstate("flights", 1, TUESDAY, 2)


def test_a_folder_is_not_taken_without_the_registry_once_a_byte_differs(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    mlflow.delete_model_version("flights", "2")
    (settings.models / "flights" / "v2" / "model" / "model.skops").write_text("hacked!")
    with pytest.raises(NotFound):
        registry.fetch("flights", 2, settings.models)


def test_what_a_model_may_hold_is_known_without_the_registry(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    run, uri, manifest = stored(settings, "own")
    own = facts(manifest)
    made = registry.register("flights", run, uri, type(own)(**{**_fields(own), "trusted_types": ("own.Step",)}))
    assert registry.model("flights", made.version, settings.models).trusted == ("own.Step",)
    tag("trusted_types", "x", str(made.version))(mlflow)
    assert registry.model("flights", made.version, settings.models).trusted == ("own.Step",)
    mlflow.delete_model_version("flights", str(made.version))
    assert registry.model("flights", made.version, settings.models).trusted == ("own.Step",)


def test_a_run_or_files_that_are_gone_stop_nothing_that_was_fetched(tmp_path: Path) -> None:
    settings = _filled(tmp_path)
    registry, mlflow = ModelRegistry(settings.mlflow_uri, settings.keys_folder), connect(settings.mlflow_uri)
    for path in (settings.home / "mlflow" / "artifacts").rglob("model.skops"):
        path.unlink()
    mlflow.delete_run(registry.get("flights", 2).run_id)
    assert registry.fetch("flights", 2, settings.models).is_dir()
    with pytest.raises(BadArtifact):
        registry.fetch("flights", 3, settings.models)


def test_a_deleted_experiment_and_a_deleted_run_are_restored(registry: ModelRegistry, mlflow: Any) -> None:
    run = registry.get("flights", 2).run_id
    mlflow.delete_experiment(mlflow.get_experiment_by_name("flights").experiment_id)
    assert registry.bring_back("flights", [run])
    assert mlflow.get_experiment_by_name("flights").lifecycle_stage == "active"
    mlflow.delete_run(run)
    assert registry.bring_back("flights", [run, "unknown"]) == (f"the run {run} is restored",)
    assert mlflow.get_run(run).info.lifecycle_stage == "active"
    assert registry.bring_back("flights", [run, "unknown"]) == ()


def test_a_renamed_model_gets_its_name_again(registry: ModelRegistry, mlflow: Any) -> None:
    before, runs = registry.versions("flights"), [each.run_id for each in registry.versions("flights")]
    mlflow.rename_registered_model("flights", "planes")
    assert registry.versions("flights") == ()
    assert registry.bring_back("flights", runs) == ("the model planes is called flights again",)
    assert registry.versions("flights") == before
    assert registry.bring_back("flights", runs) == ()


def test_a_renamed_model_whose_name_was_given_to_others_stays_as_it_is(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    runs = [each.run_id for each in registry.versions("flights")]
    mlflow.rename_registered_model("flights", "planes")
    assert registered(registry, settings, "fourth").version == 1
    assert registry.bring_back("flights", runs) == ()
    assert registry.products() == ("flights", "planes")


def test_a_registry_that_lost_its_versions_gives_no_number_twice(
    registry: ModelRegistry, mlflow: Any, settings: Settings
) -> None:
    mlflow.delete_registered_model("flights")
    run, uri, manifest = stored(settings, "fourth")
    made = registry.register("flights", run, uri, facts(manifest), beyond=3)
    assert made.version == 4
    assert [each.version for each in registry.versions("flights")] == [4]
    again = registry.register("flights", run, uri, facts(manifest), beyond=3)
    assert again.version == 4
    run, uri, manifest = stored(settings, "fifth")
    assert registry.register("flights", run, uri, facts(manifest), beyond=4).version == 5


def test_a_time_without_a_zone_is_that_of_utc(registry: ModelRegistry, mlflow: Any) -> None:
    tag("created_at", "2026-03-02T09:00:00")(mlflow)
    assert registry.get("flights", 1).facts.created_at == datetime(2026, 3, 2, 9, tzinfo=UTC)


def _fields(own: Any) -> dict[str, Any]:
    return {name: getattr(own, name) for name in type(own).__slots__}
