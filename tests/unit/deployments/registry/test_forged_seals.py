"""What somebody who may write to the registry, and to the artifact store, cannot have loaded: changed ones."""

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import BadArtifact, DiskFull, RegistryUnreachable
from deployments.model_manifest import manifest_of
from deployments.registry import artifact_download
from deployments.registry.model_version import SEAL
from tests.advice import followed
from tests.unit.deployments.registry.attacked_registry import (
    LISTED,
    Mlflow,
    edited,
    payload_of,
    sealed_elsewhere,
)

FORGED: dict[str, Callable[[Mlflow], None]] = {
    "no seal": lambda it: it.client.delete_model_version_tag("flights", "1", SEAL),
    "the seal of another version": lambda it: it.tag(1, "seal", it.raw(2).tags[SEAL]),
    "no JSON": lambda it: it.tag(1, "seal", "{"),
    "deep JSON": lambda it: it.tag(1, "seal", "[" * 4900),
    "no envelope": lambda it: it.tag(1, "seal", "[]"),
    "no signature": lambda it: it.tag(1, "seal", edited(it, signatures=[])),
    "another content": lambda it: it.tag(1, "seal", edited(it, payload=payload_of(it, "types"))),
    "another type of content": lambda it: it.tag(1, "seal", edited(it, payloadType="text/plain")),
    "a path that leads out": lambda it: it.tag(1, "seal", edited(it, payload=payload_of(it, "path"))),
    "a key of somebody's own": lambda it: it.tag(1, "seal", sealed_elsewhere(it)),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_forged_seal_is_refused_and_what_was_fetched_before_is_had_all_the_same(
    mlflow: Mlflow, forge: Callable[[Mlflow], None]
) -> None:
    here = mlflow.registry.fetch("flights", 1, mlflow.settings.models)
    forge(mlflow)
    fresh = mlflow.opened()
    assert fresh.fetch("flights", 1, mlflow.settings.models) == here, "who served goes on serving"
    with pytest.raises(BadArtifact, match="flights v1 is not known to be what was judged"):
        fresh.fetch("flights", 1, mlflow.settings.home / "elsewhere")
    assert fresh.get("flights", 1).doubt
    assert not fresh.get("flights", 2).doubt


def test_the_same_files_under_another_number_or_product_have_no_seal_that_fits(mlflow: Mlflow) -> None:
    source = mlflow.raw(1)
    mlflow.client.create_model_version("flights", source.source, run_id=source.run_id, tags=source.tags)
    assert "its seal is that of version '1', not of 3" in mlflow.registry.get("flights", 3).doubt
    mlflow.client.create_registered_model("trains")
    mlflow.client.create_model_version("trains", source.source, run_id=source.run_id, tags=source.tags)
    assert "its seal is that of product 'flights', not of 'trains'" in mlflow.registry.get("trains", 1).doubt


def test_tags_of_the_manifest_and_of_types_change_nothing_that_is_loaded(mlflow: Mlflow) -> None:
    mlflow.tag(1, "manifest", "{}")
    mlflow.tag(1, "trusted_types", json.dumps(LISTED))
    model = mlflow.registry.model("flights", 1, mlflow.settings.models)
    assert (model.trusted, model.sealed) == ((), True)
    assert manifest_of(model.folder) == mlflow.made[0].facts.manifest


def _replaced_by_link(path: Path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)


def _replaced_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda path: path.write_bytes(b"Weights"), r"model/model\.skops .* has SHA-256"),
        (lambda path: path.with_name("MLmodel").write_text("other"), r"model/MLmodel .* has SHA-256"),
        (lambda path: path.write_bytes(b"x" * 2_000_000), r"holds more than the 1250000 bytes"),
        (lambda path: _replaced_by_link(path, "/dev/zero"), r"model\.skops is a link"),
        (_replaced_by_pipe, r"model\.skops is no ordinary file"),
        (lambda path: (path.parent / "more").symlink_to("/etc"), r"more is a link"),
    ],
)
def test_other_files_in_the_store_are_refused_within_bounds(
    with_files: Mlflow, damage: Callable[[Path], Any], named: str
) -> None:
    damage(with_files.files(1) / "model.skops")
    with pytest.raises(BadArtifact, match=named):
        with_files.registry.fetch("flights", 1, with_files.settings.models)
    assert list((with_files.settings.models / "flights").iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(b"Weights"), followed(" in ", "deployments/model_manifest.py")),
        (lambda path: path.write_bytes(b"x" * 2_000_000), followed(" files) that were stored, at ")),
        (_replaced_by_pipe, followed(", which no stored model holds: train and register the model anew")),
        (lambda path: shutil.rmtree(path.parent), followed(" is gone from the artifact store: train and register")),
    ],
)
def test_a_model_that_is_trained_and_registered_anew_is_had(
    with_files: Mlflow, damage: Callable[[Path], Any], told: str
) -> None:
    damage(with_files.files(1) / "model.skops")
    with pytest.raises(BadArtifact) as error:
        with_files.registry.fetch("flights", 1, with_files.settings.models)
    assert told in str(error.value)
    anew = with_files.registered("third")
    assert with_files.registry.fetch("flights", anew.version, with_files.settings.models).is_dir()


def test_once_there_is_room_a_version_is_had(with_files: Mlflow, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifact_download._Copy, "_file", full)
    with pytest.raises(DiskFull) as error:
        with_files.registry.fetch("flights", 1, with_files.settings.models)
    assert followed(
        ": free some room and run the same command again", "deployments/registry/artifact_download.py"
    ) in str(error.value)
    monkeypatch.undo()
    assert with_files.registry.fetch("flights", 1, with_files.settings.models).is_dir()


def test_a_store_that_is_there_again_is_read(with_files: Mlflow) -> None:
    place = with_files.files(1)
    place.rename(place.with_name("away"))
    place.symlink_to(place)
    with pytest.raises(RegistryUnreachable) as error:
        with_files.registry.fetch("flights", 1, with_files.settings.models)
    assert followed("): see that it is there, then try again") in str(error.value)
    place.unlink()
    place.with_name("away").rename(place)
    assert with_files.registry.fetch("flights", 1, with_files.settings.models).is_dir()
