"""Seals made late, lost keys, and people who vouch."""

import json
from pathlib import Path

import pytest

from deployments.errors import BadArtifact
from deployments.model_manifest import manifest_of
from deployments.registry import ModelRegistry
from deployments.registry.launch_spec import read_start_record
from deployments.registry.model_version import SEAL
from deployments.registry.version_seal import Sealer, read_seal
from deployments.settings import Settings
from tests.model_folder import write_model_folder
from tests.unit.deployments.registry.attacked_registry import LISTED, Mlflow, edited, evil, payload_of, planted
from tests.unit.deployments.registry.test_mlflow_registry import facts, stored


def test_registering_a_run_for_which_somebody_made_a_version_before_seals_the_files_of_the_run(
    mlflow: Mlflow, tmp_path: Path
) -> None:
    run, uri, manifest = stored(mlflow.settings, "third")
    folder = evil(tmp_path / "evil", tmp_path / "marker")
    own = dict(mlflow.raw(2).tags) | {"seatrial.manifest": json.dumps(manifest_of(folder))}
    mlflow.client.create_model_version("flights", (folder / "model").as_uri(), run_id=run, tags=own)
    made = mlflow.registry.register("flights", run, uri, facts(manifest))
    assert (made.version, made.doubt, made.facts.manifest) == (3, "", manifest)
    with pytest.raises(BadArtifact, match="this is not the model that was judged"):
        mlflow.registry.fetch("flights", 3, mlflow.settings.models)


def test_a_kill_before_the_seal_is_put_right_when_the_call_is_repeated(mlflow: Mlflow) -> None:
    run, uri, manifest = stored(mlflow.settings, "third")
    mlflow.registry.register("flights", run, uri, facts(manifest))
    mlflow.client.delete_model_version_tag("flights", "3", SEAL)
    assert mlflow.registry.get("flights", 3).doubt
    assert not mlflow.opened().register("flights", run, uri, facts(manifest)).doubt


def lose_the_key(settings: Settings) -> None:
    (settings.keys_folder / "manifests").unlink()


def test_a_lost_key_leaves_what_the_journal_noted_and_a_repair_seals_it_with_the_new_one(mlflow: Mlflow) -> None:
    notes = {each.version: each.seal for each in mlflow.made}
    lose_the_key(mlflow.settings)
    assert "holds no key 'manifests'" in mlflow.opened().get("flights", 1).doubt
    knowing = mlflow.opened(lambda _product, version: notes[version])
    assert knowing.fetch("flights", 1, mlflow.settings.models).is_dir()
    mlflow.tag(2, "seal", edited(mlflow, payload=payload_of(mlflow, "types")))
    assert knowing.get("flights", 2).doubt, "the note is of the seal that was, not of any"
    run = mlflow.made[0].run_id
    assert knowing.reseal("flights", 1, "another run", notes[1], mlflow.settings.home / "nothing") == ""
    assert knowing.reseal("flights", 1, run, "another note", mlflow.settings.home / "nothing") == ""
    assert knowing.reseal("flights", 1, run, notes[1], mlflow.settings.models) == "the journal knows its seal"
    assert not mlflow.opened().get("flights", 1).doubt


def test_another_platforms_key_is_named_with_ones_own(mlflow: Mlflow, tmp_path: Path) -> None:
    Sealer(tmp_path / "keys").seal(read_seal(mlflow.raw(1).tags[SEAL]).statement)
    other = ModelRegistry(mlflow.settings.mlflow_uri, tmp_path / "keys")
    assert "it is sealed with the key " in other.get("flights", 1).doubt
    assert str(tmp_path / "keys" / "manifests") in other.get("flights", 1).doubt


def test_a_version_from_before_there_were_seals_is_sealed_by_the_files_that_lie_here(mlflow: Mlflow) -> None:
    mlflow.registry.fetch("flights", 1, mlflow.settings.models)
    for number in ("1", "2"):
        mlflow.client.delete_model_version_tag("flights", number, SEAL)
    registry, models = mlflow.opened(), mlflow.settings.models
    assert registry.reseal("flights", 2, mlflow.made[1].run_id, None, models) == "", "it was never fetched"
    assert "its files lie in " in registry.reseal("flights", 1, mlflow.made[0].run_id, None, models)
    assert registry.get("flights", 1).doubt == ""


def test_types_that_an_older_seatrial_noted_by_tags_are_not_sealed(mlflow: Mlflow) -> None:
    folder = mlflow.registry.fetch("flights", 1, mlflow.settings.models)
    mlflow.client.delete_model_version_tag("flights", "1", SEAL)
    (folder.parent / "v1.started.json").write_text(json.dumps({"folder": str(folder), "trusted": LISTED}))
    found = read_start_record(mlflow.settings.models, "flights", 1)
    assert found is not None
    assert (found.trusted, found.sealed) == (tuple(LISTED), False)
    assert mlflow.registry.reseal("flights", 1, mlflow.made[0].run_id, None, mlflow.settings.models) == ""


def test_a_person_vouches_for_files_that_hold_nothing_strange(mlflow: Mlflow, tmp_path: Path, version: int) -> None:
    registry, models = mlflow.registry, mlflow.settings.models
    with pytest.raises(BadArtifact, match="nobody trusted"):
        registry.vouch("flights", version, (), models)
    with pytest.raises(BadArtifact, match="can be made to run any code"):
        registry.vouch("flights", version, tuple(LISTED), models)
    good = planted(mlflow, write_model_folder(tmp_path / "good"), seal="none")
    statement = registry.vouch("flights", good, (), models)
    assert (statement.version, registry.get("flights", good).doubt) == (good, "")
    assert registry.model("flights", good, models).trusted == ()
    lying = planted(mlflow, write_model_folder(tmp_path / "lying"), manifest=json.dumps({"model/MLmodel": "0" * 64}))
    with pytest.raises(BadArtifact, match="this is not the model that was judged"):
        registry.vouch("flights", lying, (), models)


def test_a_seal_is_a_dsse_envelope_around_an_in_toto_statement(mlflow: Mlflow) -> None:
    seal = read_seal(mlflow.raw(1).tags[SEAL])
    document = json.loads(seal.payload)
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert {each["name"] for each in document["subject"]} == set(mlflow.made[0].facts.manifest)
    assert seal.statement.payload() == seal.payload
