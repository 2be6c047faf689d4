"""The registry against a real MLflow on SQLite: versions are registered, found and fetched."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadArtifact, NotFound
from deployments.model_manifest import MANIFEST, manifest_of
from deployments.registry import DeploymentStatus, ModelRegistry
from deployments.registry.mlflow_client import connect
from deployments.registry.registry_diff import Standing
from deployments.settings import Settings
from tests.unit.deployments.registry.a_registry import MONDAY, DyingClient, Killed, facts, registered, stored
from tests.unit.tasks.models.real_mlflow import settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(settings.mlflow_uri, settings.keys_folder)


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


def test_people_find_a_run_by_product_and_version_and_read_what_it_is_for(
    registry: ModelRegistry, settings: Settings
) -> None:
    run, model, manifest = stored(settings)
    version = registry.register("flights", run, model, facts(manifest)).version
    registry.describe("flights", version, "Will a flight be late?")
    registry.describe("flights", version, "")
    client = connect(settings.mlflow_uri)
    experiment = client.get_experiment_by_name("flights")
    told = (
        client.get_registered_model("flights").description,
        client.get_model_version("flights", str(version)).description,
        experiment.tags["mlflow.note.content"],
        client.get_run(run).data.tags["mlflow.note.content"],
    )
    assert set(told) == {"Will a flight be late?"}
    assert client.get_run(run).info.run_name == f"flights v{version}"
    assert registry.get("flights", version).doubt == ""


def test_what_is_said_of_all_products_is_what_is_said_of_each(registry: ModelRegistry, settings: Settings) -> None:
    assert registry.entries() == {}
    for product, content in (("flights", "a"), ("bikes", "b"), ("flights", "c")):
        run, model, manifest = stored(settings, content)
        version = registry.register(product, run, model, facts(manifest)).version
        registry.promote(product, version, MONDAY, version - 1 or None)
    entries = registry.entries()
    assert set(entries) == {"bikes", "flights"} == set(registry.products())
    for product, entry in entries.items():
        assert tuple(entry.versions) == registry.versions(product)
        wanted = Standing(champion=1, previous=None)
        assert entry.differences(wanted) == registry.differences(product, wanted)


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


def _artifact(settings: Settings, name: str) -> Path:
    return next((settings.home / "mlflow" / "artifacts").rglob(name))
