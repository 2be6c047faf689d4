import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from deployments.errors import BadArtifact
from deployments.serving.description import Kind, Output, read_description
from deployments.serving.model import Model, NotFinite, check_manifest, load
from tests.model_folder import COLUMNS, ROWS, batch_of_rows, store, verification_of, write_manifest, write_model_folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("stored") / "v1")


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stored, tmp_path / "v1"))


def rewrite(folder: Path, key: str, value: object) -> None:
    path = folder / "model" / "MLmodel"
    document = yaml.safe_load(path.read_text())
    document["metadata"]["seatrial"][key] = value
    path.write_text(yaml.safe_dump(document))
    write_manifest(folder)


def test_a_loaded_model_answers_as_it_did_in_training(folder: Path) -> None:
    model = load(folder, "flights")
    _, expected = verification_of(folder)
    assert model.probabilities(batch_of_rows(ROWS)).tolist() == expected
    assert model.predictions(batch_of_rows(ROWS)).tolist() == [row[1] > 0.5 for row in expected]


def test_the_description_is_read_from_beside_the_model(folder: Path) -> None:
    description = read_description(folder)
    assert description.output is Output.PROBABILITY
    assert description.classes == (False, True)
    assert [feature.name for feature in description.features] == list(COLUMNS)
    assert [feature.kind for feature in description.features] == [Kind.NUMERIC, Kind.NUMERIC, Kind.CATEGORICAL]
    assert [feature.required for feature in description.features] == [True, True, False]


@pytest.mark.parametrize("name", ["model/model.skops", "model/MLmodel", "verification.json"])
def test_a_changed_file_is_named_before_anything_is_loaded(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(BadArtifact, match=f"{name} has SHA-256"):
        load(folder, "flights")


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "model" / "model.skops").unlink()
    with pytest.raises(BadArtifact, match=r"model\.skops is missing"):
        check_manifest(folder)


def test_a_file_that_nobody_stored_is_named(folder: Path) -> None:
    (folder / "model" / "extra.py").write_text("")
    with pytest.raises(BadArtifact, match=r"extra\.py was not there"):
        check_manifest(folder)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"model/model.skops": "0"}'])
def test_a_manifest_that_says_too_little_is_refused(folder: Path, content: str | None) -> None:
    (folder / "manifest.json").unlink()
    if content is not None:
        (folder / "manifest.json").write_text(content)
    with pytest.raises(BadArtifact, match=r"manifest\.json"):
        check_manifest(folder)


def test_a_model_of_another_product_is_refused(folder: Path) -> None:
    with pytest.raises(BadArtifact, match="'flights', not of 'bikes'"):
        load(folder, "bikes")


def test_classes_that_the_model_does_not_know_are_refused(folder: Path) -> None:
    rewrite(folder, "classes", [True, False])
    with pytest.raises(BadArtifact, match="other classes"):
        load(folder, "flights")


@pytest.mark.parametrize(("key", "value"), [("output", "logits"), ("features", []), ("product", 7), ("features", None)])
def test_a_description_with_a_hole_is_refused(folder: Path, key: str, value: object) -> None:
    rewrite(folder, key, value)
    with pytest.raises(BadArtifact):
        load(folder, "flights")


def test_types_that_nobody_trusted_are_refused_until_they_are_named(folder: Path, tmp_path: Path) -> None:
    from sklearn.preprocessing import FunctionTransformer

    description = yaml.safe_load((folder / "model" / "MLmodel").read_text())
    description["metadata"]["seatrial"]["output"] = "prediction"
    estimator = FunctionTransformer(np.linalg.norm)
    untrusted = store(tmp_path / "v2", estimator, description, [])
    with pytest.raises(BadArtifact, match=r"numpy\.linalg\.norm"):
        load(untrusted, "flights")
    assert load(untrusted, "flights", trusted=["numpy.linalg.norm"]).estimator.func is np.linalg.norm


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_never_leaves(model: Model, bad: float) -> None:
    class Broken:
        def predict(self, frame: object) -> object:
            return np.array([1.0, bad])

    with pytest.raises(NotFinite):
        Model(model.description, Broken()).predictions(batch_of_rows(ROWS[:2]))
