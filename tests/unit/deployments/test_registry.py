"""The registry against a real MLflow on SQLite."""

import contextlib
import itertools
import math
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadArtifact, NotFound
from deployments.manifest import MANIFEST, manifest_of
from deployments.registry import DeploymentStatus, ModelRegistry, ModelVersion, VersionFacts
from deployments.registry.connection import connect
from deployments.settings import Settings
from tests.unit.tasks.models.real_mlflow import settings_in

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TUESDAY = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Killed(BaseException):
    """What a kill looks like from inside."""


class DyingClient:
    """An MLflow client whose process dies just before the call number `calls`."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._left = client, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return method(*arguments, **keywords)

        return call


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(settings.mlflow_uri, settings.keys_folder)


def stored(settings: Settings, content: str = "weights") -> tuple[str, str, dict[str, str]]:
    """A run with a model folder in MLflow: run id, model URI, manifest."""
    client = connect(settings.mlflow_uri)
    folder = settings.home / "work" / content
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "model.skops").write_text(content)
    (folder / "model" / "MLmodel").write_text("a model")
    (folder / "verification.json").write_text("{}")
    found = client.get_experiment_by_name("flights")
    place = (settings.home / "mlflow" / "artifacts" / "flights").as_uri()
    experiment = found.experiment_id if found else client.create_experiment("flights", artifact_location=place)
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="model", source_run_id=run).model_id
    client.log_model_artifacts(model, str(folder / "model"))
    client.log_artifact(run, str(folder / "verification.json"))
    return run, f"models:/{model}", manifest_of(folder)


def facts(manifest: dict[str, str]) -> VersionFacts:
    return VersionFacts(
        created_at=MONDAY,
        model_type="classification",
        algorithm="sklearn.linear_model._logistic.LogisticRegression",
        hyperparameters={"C": "1.0", "penalty": "l2"},
        data_fingerprint="ab" * 32,
        metrics={"roc_auc": 0.71, "precision": float("nan")},
        size_mb=1.25,
        manifest=manifest,
        spec_digest="cd" * 32,
    )


def registered(registry: ModelRegistry, settings: Settings, content: str = "weights") -> ModelVersion:
    run, uri, manifest = stored(settings, content)
    return registry.register("flights", run, uri, facts(manifest))


def test_a_version_comes_back_as_it_was_registered(registry: ModelRegistry, settings: Settings) -> None:
    run, uri, manifest = stored(settings)

    made = registry.register("flights", run, uri, facts(manifest))

    found = ModelRegistry(settings.mlflow_uri, settings.keys_folder).get("flights", made.version)
    assert (found.product, found.version, found.run_id) == ("flights", 1, run)
    assert found.facts.metrics["roc_auc"] == 0.71
    assert math.isnan(found.facts.metrics["precision"])
    assert found.facts.created_at == MONDAY
    assert found.facts.hyperparameters == {"C": "1.0", "penalty": "l2"}
    assert found.facts.manifest == manifest
    assert found.facts.size_mb == 1.25
    assert (found.status, found.deployed_at, found.rollback_version) == (DeploymentStatus.REGISTERED, None, None)


def test_registering_a_run_twice_gives_one_version(registry: ModelRegistry, settings: Settings) -> None:
    run, uri, manifest = stored(settings)

    first = registry.register("flights", run, uri, facts(manifest))
    again = ModelRegistry(settings.mlflow_uri, settings.keys_folder).register("flights", run, uri, facts(manifest))

    assert again.version == first.version
    assert len(registry.versions("flights")) == 1


def test_the_image_of_a_version_is_kept_with_it(registry: ModelRegistry, settings: Settings) -> None:
    version = registered(registry, settings)
    assert version.image is None
    registry.set_image("flights", version.version, "bikes:v1@sha256:ab")
    assert registry.get("flights", version.version).image == "bikes:v1@sha256:ab"
    with pytest.raises(NotFound):
        registry.set_image("flights", 9, "bikes:v9@sha256:ab")


@pytest.mark.parametrize("calls", range(4))
def test_registering_that_is_killed_leaves_no_half_version(
    registry: ModelRegistry, settings: Settings, calls: int
) -> None:
    run, uri, manifest = stored(settings)
    registry._client = DyingClient(registry._client, calls)

    with pytest.raises(Killed):
        registry.register("flights", run, uri, facts(manifest))

    survivor = ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    assert survivor.versions("flights") == ()
    assert survivor.register("flights", run, uri, facts(manifest)).version == 1


def test_metadata_stands_in_the_tags_that_people_see(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)

    tags = connect(settings.mlflow_uri).get_model_version("flights", "1").tags

    assert tags["seatrial.created_at"] == "2026-03-02T09:00:00+00:00"
    assert tags["seatrial.model_type"] == "classification"
    assert tags["seatrial.metrics"] == '{"precision": null, "roc_auc": 0.71}'
    assert tags["seatrial.status"] == "registered"


def test_without_a_product_there_are_no_names_and_no_versions(registry: ModelRegistry) -> None:
    assert registry.champion("flights") is registry.challenger("flights") is registry.previous("flights") is None
    assert registry.versions("flights") == registry.products() == ()


def test_an_unknown_version_is_not_found(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)

    for call in (
        lambda: registry.get("flights", 9),
        lambda: registry.get("trains", 1),
        lambda: registry.promote("flights", 9, MONDAY, None),
        lambda: registry.set_challenger("flights", 9),
        lambda: registry.set_status("flights", 9, DeploymentStatus.LIVE),
        lambda: registry.fetch("flights", 9, settings.models),
    ):
        with pytest.raises(NotFound, match="not found"):
            call()
    assert registry.champion("flights") is None


def test_versions_of_others_in_the_same_mlflow_are_left_out(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)
    client = connect(settings.mlflow_uri)
    client.create_model_version("flights", "file:///elsewhere")
    client.create_registered_model("somebody-elses")
    client.create_model_version("somebody-elses", "file:///elsewhere")

    assert [each.version for each in registry.versions("flights")] == [1]
    assert registry.products() == ("flights",)
    with pytest.raises(NotFound, match="flights v2 was not registered by Seatrial"):
        registry.get("flights", 2)


def test_the_first_promotion_makes_a_champion_without_a_predecessor(
    registry: ModelRegistry, settings: Settings
) -> None:
    registered(registry, settings)
    registry.set_challenger("flights", 1)

    champion = registry.promote("flights", 1, MONDAY, None)

    assert champion.aliases == ("champion",)
    assert (champion.status, champion.deployed_at) == (DeploymentStatus.LIVE, MONDAY)
    assert champion.rollback_version is None
    assert registry.previous("flights") is None
    assert registry.challenger("flights") is None


def test_the_former_champion_becomes_previous_and_retired(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)

    champion = registry.promote("flights", 2, TUESDAY, 1)

    assert (champion.version, champion.rollback_version, champion.deployed_at) == (2, 1, TUESDAY)
    previous = registry.previous("flights")
    assert previous is not None
    assert (previous.version, previous.status) == (1, DeploymentStatus.RETIRED)
    assert [each.aliases for each in registry.versions("flights")] == [("previous",), ("champion",)]


def test_promoting_the_champion_again_changes_nothing(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    once = registry.promote("flights", 2, TUESDAY, 1)

    again = registry.promote("flights", 2, datetime(2027, 1, 1, tzinfo=UTC), 1)

    assert _plain(again) == _plain(once)


def test_a_reinstated_champion_does_not_point_back_to_the_bad_one(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, TUESDAY, 1)

    restored = registry.reinstate("flights", 1, TUESDAY, 2)

    assert (restored.version, restored.status, restored.aliases) == (1, DeploymentStatus.LIVE, ("champion",))
    assert registry.get("flights", 2).status is DeploymentStatus.ROLLED_BACK
    assert registry.previous("flights") is None


def test_after_a_rollback_the_version_before_is_previous_again(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, MONDAY, 1)
    registered(registry, settings, "third")
    registry.promote("flights", 3, TUESDAY, 2)

    registry.reinstate("flights", 2, TUESDAY, 3)

    previous = registry.previous("flights")
    assert previous is not None
    assert previous.version == 1
    assert {each.version: each.status.value for each in registry.versions("flights")} == {
        1: "retired",
        2: "live",
        3: "rolled_back",
    }


def test_a_version_that_was_rolled_back_can_be_promoted_later(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, MONDAY, 1)
    registry.reinstate("flights", 1, MONDAY, 2)

    champion = registry.promote("flights", 2, TUESDAY, 1)

    assert (champion.status, champion.rollback_version) == (DeploymentStatus.LIVE, 1)
    assert registry.get("flights", 1).aliases == ("previous",)


MOVES: dict[str, Callable[[ModelRegistry], ModelVersion]] = {
    "promote": lambda registry: registry.promote("flights", 2, TUESDAY, 1),
    "reinstate": lambda registry: registry.reinstate("flights", 1, TUESDAY, 2),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_move_killed_between_any_two_calls_keeps_a_champion_and_is_completed_by_repeating(
    registry: ModelRegistry, settings: Settings, move: str
) -> None:
    second_of_two(registry, settings)
    if move == "reinstate":
        registry.promote("flights", 2, MONDAY, 1)
    before = _database(settings).with_suffix(".before")
    _copy(_database(settings), before)
    client = registry._client
    MOVES[move](registry)
    expected = _picture(registry)

    for calls in itertools.count():
        _copy(before, _database(settings))
        registry._client = DyingClient(client, calls)
        try:
            MOVES[move](registry)
            break
        except Killed:
            registry._client = client
        champion = registry.champion("flights")
        assert champion is not None
        assert champion.version in {1, 2}
        MOVES[move](registry)
        assert _picture(registry) == expected, f"killed before call {calls + 1}"
    assert calls > 10, "the move makes more calls than that"


def test_a_kill_that_nobody_repeated_is_put_right_by_the_next_promotion(
    registry: ModelRegistry, settings: Settings
) -> None:
    second_of_two(registry, settings)
    registered(registry, settings, "third")
    client = connect(settings.mlflow_uri)
    # As promote leaves it when it dies right after the champion's name has moved.
    client.set_model_version_tag("flights", "2", "seatrial.rollback_version", "1")
    client.set_registered_model_alias("flights", "champion", "2")

    registry.promote("flights", 3, TUESDAY, 2)

    assert {each.version: each.status.value for each in registry.versions("flights")} == {
        1: "retired",
        2: "registered",
        3: "live",
    }
    assert registry.get("flights", 3).rollback_version == 2


def test_fetching_gives_the_stored_bytes_and_their_manifest(registry: ModelRegistry, settings: Settings) -> None:
    version = registered(registry, settings)

    folder = registry.fetch("flights", 1, settings.models)

    assert folder == settings.models / "flights" / "v1"
    assert (folder / "model" / "model.skops").read_text() == "weights"
    assert (folder / "verification.json").read_text() == "{}"
    assert manifest_of(folder) == version.facts.manifest
    assert (folder / MANIFEST).is_file()
    assert [each.name for each in folder.parent.iterdir()] == ["v1"]


def test_an_intact_folder_is_used_again_without_the_artifact_store(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)
    first = registry.fetch("flights", 1, settings.models)
    _artifact(settings, "model.skops").unlink()

    assert registry.fetch("flights", 1, settings.models) == first


def test_a_damaged_folder_is_replaced_by_the_stored_bytes(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)
    folder = registry.fetch("flights", 1, settings.models)
    (folder / "model" / "model.skops").write_text("hacked!")
    (folder / "extra").write_text("x")

    registry.fetch("flights", 1, settings.models)

    assert (folder / "model" / "model.skops").read_text() == "weights"
    assert not (folder / "extra").exists()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.write_text("weightz"), r"model/model\.skops in .* has SHA-256"),
        (lambda path: path.unlink(), r"model/model\.skops in .* is missing"),
        (lambda path: (path.parent / "evil.py").write_text("x"), r"model/evil\.py in .* was not there"),
    ],
)
def test_one_byte_one_file_less_or_one_more_is_refused_by_name(
    registry: ModelRegistry, settings: Settings, damage: Callable[[Path], Any], named: str
) -> None:
    registered(registry, settings)
    damage(_artifact(settings, "model.skops"))

    with pytest.raises(BadArtifact, match=named):
        registry.fetch("flights", 1, settings.models)

    assert list((settings.models / "flights").iterdir()) == []


def test_files_that_are_gone_are_a_bad_artifact(registry: ModelRegistry, settings: Settings) -> None:
    registered(registry, settings)
    _artifact(settings, "verification.json").unlink()

    with pytest.raises(BadArtifact, match=r"verification\.json is gone"):
        registry.fetch("flights", 1, settings.models)


def second_of_two(registry: ModelRegistry, settings: Settings) -> None:
    """Version 1 is champion, version 2 wants to be."""
    registered(registry, settings, "first")
    registry.promote("flights", 1, MONDAY, None)
    registered(registry, settings, "second")
    registry.set_challenger("flights", 2)


def _picture(registry: ModelRegistry) -> list[tuple[Any, ...]]:
    return [_plain(each) for each in registry.versions("flights")]


def _plain(version: ModelVersion) -> tuple[Any, ...]:
    return version.version, version.status, version.deployed_at, version.rollback_version, version.aliases


def _artifact(settings: Settings, name: str) -> Path:
    return next((settings.home / "mlflow" / "artifacts").rglob(name))


def _database(settings: Settings) -> Path:
    return settings.home / "mlflow" / "mlflow.db"


def _copy(source: Path, target: Path) -> None:
    """One database over another, while others are connected to it."""
    with contextlib.closing(sqlite3.connect(source)) as origin, contextlib.closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)
