"""What somebody who may write to the registry, and to the artifact store, cannot have loaded or served."""

import cProfile
import errno
import functools
import http.server
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from deployments.clock import SystemClock
from deployments.errors import BadArtifact, DiskFull, RegistryUnreachable
from deployments.model_manifest import digest_of, manifest_of
from deployments.registry import ModelRegistry, ModelVersion, artifact_files
from deployments.registry.artifact_files import download
from deployments.registry.artifact_location import check_destination
from deployments.registry.download import main
from deployments.registry.mlflow_client import connect
from deployments.registry.model_version import SEAL
from deployments.registry.start_record import read_start_record
from deployments.registry.version_seal import Sealer, read_seal
from deployments.serving.loaded_model import load
from deployments.settings import Settings, current
from tasks.models.tracking import mlflow_run
from tasks.rollouts.retry_eligibility import eligible_version
from tests.advice import followed
from tests.model_folder import description_of, store, write_manifest, write_model_folder
from tests.unit.deployments.test_registry import facts, stored
from tests.unit.tasks.models.real_mlflow import settings_in

LISTED = ["cProfile.run", "functools.partial"]


class Mlflow:
    """A registry of two versions that Seatrial registered, and MLflow's own client: what an attacker has."""

    def __init__(self, settings: Settings, made: tuple[ModelVersion, ...] = ()) -> None:
        self.settings = settings
        self.client = connect(self.settings.mlflow_uri)
        self.registry = self.opened()
        self.made = made or (self.registered("first"), self.registered("second"))

    def opened(self, noted: Callable[[str, int], str | None] = lambda _product, _version: None) -> ModelRegistry:
        """The registry as a new process sees it."""
        return ModelRegistry(self.settings.mlflow_uri, self.settings.keys_folder, noted)

    def raw(self, version: int) -> Any:
        """MLflow's own entity."""
        return self.client.get_model_version("flights", str(version))

    def tag(self, version: int, name: str, value: str) -> None:
        """Writes a tag of ours."""
        self.client.set_model_version_tag("flights", str(version), f"seatrial.{name}", value)

    def files(self, version: int) -> Path:
        """Where the store has a version's model."""
        return Path(self.raw(version).source.removeprefix("file://"))

    def registered(self, content: str) -> ModelVersion:
        """One more version."""
        run, uri, manifest = stored(self.settings, content)
        return self.registry.register("flights", run, uri, facts(manifest))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Mlflow:
    """To be copied; the files of its runs stay where they are, and are not for tests to change."""
    return Mlflow(settings_in(tmp_path_factory.mktemp("template")))


@pytest.fixture
def mlflow(template: Mlflow, tmp_path: Path) -> Mlflow:
    shutil.copytree(template.settings.home, tmp_path / "home")
    return Mlflow(Settings(home=tmp_path / "home", project=tmp_path), template.made)


@pytest.fixture
def with_files(tmp_path: Path) -> Mlflow:
    """One with files of its own."""
    return Mlflow(settings_in(tmp_path))


def evil(folder: Path, marker: Path) -> Path:
    """A model folder that makes the file `marker` when it is asked, whole and with a manifest of its own."""
    runs = functools.partial(cProfile.run, f"open({str(marker)!r}, 'w').close()")
    pipeline = Pipeline([("step", FunctionTransformer(runs))])
    return store(folder, pipeline, description_of("flights", "regression", "prediction", None), [])


def planted(mlflow: Mlflow, folder: Path, **tags: str) -> int:
    """A version of the attacker's own: all the tags of the newest one, but its own files, manifest and types."""
    run = mlflow.client.create_run(mlflow.client.get_experiment_by_name("flights").experiment_id).info.run_id
    mlflow.client.log_artifact(run, str(folder / "verification.json"))
    copied = dict(mlflow.raw(2).tags)
    own = {"seatrial.manifest": json.dumps(manifest_of(folder)), "seatrial.trusted_types": json.dumps(LISTED)}
    told = copied | own | {f"seatrial.{name}": value for name, value in tags.items()}
    made = mlflow.client.create_model_version("flights", (folder / "model").as_uri(), run_id=run, tags=told)
    return int(made.version)


@pytest.fixture
def version(mlflow: Mlflow, tmp_path: Path) -> int:
    return planted(mlflow, evil(tmp_path / "evil", tmp_path / "marker"))


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
    "a key of somebody's own": lambda it: it.tag(1, "seal", _sealed_elsewhere(it)),
}


def edited(mlflow: Mlflow, **changes: Any) -> str:
    """The seal of v1 with some of its envelope changed."""
    return json.dumps(json.loads(mlflow.raw(1).tags[SEAL]) | changes)


def payload_of(mlflow: Mlflow, what: str) -> str:
    import base64

    document = json.loads(read_seal(mlflow.raw(1).tags[SEAL]).payload)
    if what == "types":
        document["predicate"]["trusted_types"] = LISTED
    else:
        document["subject"][0]["name"] = "../../keys/manifests"
    return base64.b64encode(json.dumps(document).encode()).decode()


def _sealed_elsewhere(mlflow: Mlflow) -> str:
    statement = read_seal(mlflow.raw(1).tags[SEAL]).statement
    return Sealer(mlflow.settings.home / "somebody").seal(statement)


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

    monkeypatch.setattr(artifact_files._Copy, "_file", full)
    with pytest.raises(DiskFull) as error:
        with_files.registry.fetch("flights", 1, with_files.settings.models)
    assert followed(": free some room and run the same command again", "deployments/registry/artifact_files.py") in str(
        error.value
    )
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


class Listening(http.server.ThreadingHTTPServer):
    """A server of somebody's own, which notes what it is shown."""

    def __init__(self) -> None:
        heard: list[str] = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.headers.get("authorization", ""))
                self.send_error(404)

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Answer)
        self.heard = heard


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listening]:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "seatrial")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "the password")
    current.cache_clear()
    with Listening() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
    current.cache_clear()


PLACES = (
    "http://127.0.0.1:{port}/model", "mlflow-artifacts://127.0.0.1:{port}/1/model", "ftp://127.0.0.1:{port}/model",
    "MLFLOW-ARTIFACTS://seatrial@127.0.0.1:{port}/1/model", "mlflow-artifacts://127.0.0.1:nine/1/model",
    "mlflow-artifacts://[127.0.0.1/1/model", "runs:/0123/model", "models:/flights/1",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_files_on_somebody_elses_server_are_never_asked_for(theirs: Listening, tmp_path: Path, place: str) -> None:
    with pytest.raises(BadArtifact) as error:
        download("http://127.0.0.1:9", place.format(port=theirs.server_port), tmp_path, 1000)
    assert followed("the files are said to lie at ") in str(error.value)
    assert theirs.heard == []


def test_a_server_that_was_named_is_asked_and_shown_the_password(
    theirs: Listening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"mlflow-artifacts://127.0.0.1:{theirs.server_port}/1/model"
    with pytest.raises(BadArtifact) as error:
        check_destination("http://127.0.0.1:9", place)
    assert followed(": if it is yours, name it in SEATRIAL_ARTIFACT_SERVERS") in str(error.value)
    monkeypatch.setenv("SEATRIAL_ARTIFACT_SERVERS", json.dumps([f"127.0.0.1:{theirs.server_port}"]))
    current.cache_clear()
    check_destination("http://127.0.0.1:9", place)
    with pytest.raises(RegistryUnreachable):
        download("http://127.0.0.1:9", place, tmp_path, 1000)
    assert theirs.heard[0].startswith("Basic ")


@pytest.mark.parametrize(
    ("registry", "place"),
    [
        ("http://mlflow", "mlflow-artifacts:/1/model"), ("http://mlflow", "mlflow-artifacts://mlflow:80/1/model"),
        ("https://u:p@mlflow/x", "https://mlflow:443/y"), ("sqlite:///x.db", "file:///models/1"),
        ("http://mlflow", "s3://bucket/1/model"), ("http://mlflow", "/models/1"),
    ],
)  # fmt: skip
def test_a_place_of_the_operators_is_no_strangers(registry: str, place: str) -> None:
    check_destination(registry, place)


def test_a_training_sends_nothing_to_the_server_of_whoever_made_the_experiment(
    mlflow: Mlflow, theirs: Listening
) -> None:
    mlflow.client.create_experiment("trains", f"http://127.0.0.1:{theirs.server_port}/")
    with (
        pytest.raises(BadArtifact, match="would have the files stored"),
        mlflow_run("trains", "1", {}, mlflow.settings, SystemClock()),
    ):
        pytest.fail("nothing is written")
    assert theirs.heard == []


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
