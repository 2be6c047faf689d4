"""What somebody who may write to the registry cannot have loaded: a version of his own."""

from pathlib import Path

import pytest

from deployments.errors import BadArtifact
from deployments.model_manifest import digest_of, manifest_of
from deployments.registry.model_version import SEAL
from deployments.registry.storage_initializer import main
from deployments.serving.loaded_model import load
from deployments.settings import current
from tasks.rollout_engine.retry_eligibility import eligible_version
from tests.advice import followed
from tests.model_folder import write_manifest, write_model_folder
from tests.unit.deployments.registry.attacked_registry import LISTED, Mlflow, evil, planted


def test_a_version_with_a_manifest_and_types_of_somebodys_own_is_refused_with_the_way_out(
    mlflow: Mlflow, version: int
) -> None:
    with pytest.raises(BadArtifact, match=f"flights v{version} is not known to be what was judged") as told:
        mlflow.registry.model("flights", version, mlflow.settings.models)
    assert f"`seatrial repair flights --vouch {version}`" in str(told.value)
    assert not (mlflow.settings.models / "flights").exists()


def test_a_version_whose_owner_vouches_for_it_is_had(mlflow: Mlflow, tmp_path: Path) -> None:
    own = planted(mlflow, write_model_folder(tmp_path / "own"), seal="none")
    with pytest.raises(BadArtifact) as told:
        mlflow.registry.model("flights", own, mlflow.settings.models)
    assert followed(" is not known to be what was judged: ") in str(told.value)
    mlflow.registry.vouch("flights", own, (), mlflow.settings.models)
    assert mlflow.registry.model("flights", own, mlflow.settings.models).sealed


def test_an_init_container_refuses_it(
    mlflow: Mlflow, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the key where it has one, and by what its Deployment was told."""
    monkeypatch.setenv("SEATRIAL_TRACKING_URI", mlflow.settings.mlflow_uri)
    monkeypatch.setenv("SEATRIAL_KEYS", str(mlflow.settings.keys_folder))
    current.cache_clear()
    try:
        arguments = ["--product", "flights", "--version", str(version), "--into", str(tmp_path / "models")]
        assert main(arguments) == 2
        assert "is not known to be what was judged" in capsys.readouterr().err
        monkeypatch.setenv("SEATRIAL_KEYS", str(tmp_path / "nobody's"))
        current.cache_clear()
        judged = digest_of(mlflow.made[1].facts.manifest)
        assert main([*arguments, "--digest", judged]) == 2
        assert "this is not the model that was judged" in capsys.readouterr().err
        mlflow.client.delete_model_version_tag("flights", str(version), SEAL)
        assert main([*arguments, "--digest", judged]) == 2
        assert followed("the registry has another manifest of ") in capsys.readouterr().err
        assert "has no seal" in mlflow.registry.get("flights", version).doubt, "as `seatrial status` says"
        good = ["--product", "flights", "--version", "2", "--into", str(tmp_path / "models")]
        assert main([*good, "--digest", judged, "--most-bytes", "1000"]) == 0
        assert main(["--product", "flights", "--version", "1", "--into", str(tmp_path / "m"), "--digest", judged]) == 2
    finally:
        current.cache_clear()


def test_a_retry_picks_what_seatrial_registered_and_nothing_else(mlflow: Mlflow, version: int) -> None:
    versions = mlflow.registry.versions("flights")
    assert eligible_version("flights", versions, [], None, None).version == 2
    with pytest.raises(BadArtifact, match=f"flights v{version} is not known"):
        eligible_version("flights", versions, [], None, version)
    for number in (1, 2, version):
        mlflow.client.delete_model_version_tag("flights", str(number), SEAL)
    with pytest.raises(BadArtifact, match="has no seal"):
        eligible_version("flights", mlflow.registry.versions("flights"), [], None, None)


def test_the_model_server_runs_nothing_of_it_even_where_its_types_are_trusted(tmp_path: Path) -> None:
    folder = evil(tmp_path / "evil", tmp_path / "marker")
    with pytest.raises(BadArtifact, match=r"nobody trusted: cProfile\.run, functools\.partial"):
        load(folder, "flights")
    with pytest.raises(BadArtifact, match=r"cProfile\.run can be made to run any code"):
        load(folder, "flights", LISTED)
    assert not (tmp_path / "marker").exists()


def test_a_server_takes_the_manifest_that_it_was_told_and_no_other(tmp_path: Path) -> None:
    judged, other = write_model_folder(tmp_path / "judged"), write_model_folder(tmp_path / "other", seed=8)
    digest = digest_of(manifest_of(judged))
    assert load(judged, "flights", digest=digest)
    with pytest.raises(BadArtifact, match=rf"has the digest [0-9a-f]+, and the model that was judged {digest}"):
        load(other, "flights", digest=digest)
    (judged / "model" / "model.skops").write_bytes((other / "model" / "model.skops").read_bytes())
    write_manifest(judged)
    with pytest.raises(BadArtifact, match="has the digest"):
        load(judged, "flights", digest=digest)
