import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from deployments.errors import BadArtifact
from deployments.serving.input_validation import Unanswerable
from deployments.serving.loaded_model import Model, NotFinite, check_manifest, load
from deployments.serving.model_metadata import Kind, Output, read_description
from tests.model_folder import (
    COLUMNS,
    ROWS,
    batch_of_rows,
    frame_of,
    store,
    verification_of,
    write_manifest,
    write_model_folder,
)


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


def refit(folder: Path, last_step: object) -> Path:
    """The same folder, with another estimator at the end of its pipeline."""
    import skops.io

    estimator = load(folder, "flights").estimator
    rows = [(distance, hour, carrier) for distance, hour in ((100.0, 5.0), (900.0, 20.0)) for carrier in ("UA", "B6")]
    estimator.set_params(model=last_step).fit(frame_of(rows), [False, False, True, True])
    skops.io.dump(estimator, folder / "model" / "model.skops")
    write_manifest(folder)
    return folder


def test_a_loaded_model_is_compiled_and_answers_what_its_estimator_does(model: Model, regression: Model) -> None:
    for each in (model, regression):
        assert each.quick is not None
        assert each.quick.how == "linear"
        alone = Model(each.description, each.estimator)
        assert each.predictions(batch_of_rows(ROWS)).tolist() == alone.predictions(batch_of_rows(ROWS)).tolist()
    alone = Model(model.description, model.estimator)
    assert model.probabilities(batch_of_rows(ROWS)).tolist() == alone.probabilities(batch_of_rows(ROWS)).tolist()


def test_a_stored_forest_is_compiled_and_sums_in_one_thread(folder: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    forest = load(refit(folder, RandomForestClassifier(n_estimators=5, random_state=0, n_jobs=2)), "flights")
    assert forest.quick is not None
    assert forest.quick.how == "trees"
    assert forest.estimator[-1].n_jobs == 1


@pytest.mark.parametrize("compiled", [True, False])
def test_a_number_that_the_model_cannot_take_is_refused_by_its_column_and_never_told(
    folder: Path, compiled: bool
) -> None:
    from sklearn.tree import DecisionTreeClassifier

    loaded = load(refit(folder, DecisionTreeClassifier(random_state=0)), "flights")
    model = Model(loaded.description, loaded.estimator, loaded.quick if compiled else None)
    with pytest.raises(Unanswerable, match="so large a number in column 'hour'") as refused:
        model.predictions(batch_of_rows([(740.0, 5.0, "UA"), (740.0, 1.5e308, "UA")]))
    assert refused.value.status == 422
    assert "308" not in str(refused.value)


def test_null_that_the_model_cannot_take_is_refused_by_its_column(model: Model) -> None:
    class TakesNoMissing:
        def predict(self, frame: pd.DataFrame) -> object:
            if frame.isna().to_numpy().any():
                raise ValueError("Input X contains NaN")
            return frame["hour"].to_numpy()

    strict = Model(model.description, TakesNoMissing())
    with pytest.raises(Unanswerable, match="null in column 'hour'"):
        strict.predictions(batch_of_rows([(740.0, None, "UA")]))


def test_an_error_that_the_rows_do_not_explain_is_the_models_own(model: Model) -> None:
    class Broken:
        def predict(self, frame: object) -> object:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Model(model.description, Broken()).predictions(batch_of_rows(ROWS[:1]))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_never_leaves(model: Model, bad: float) -> None:
    class Broken:
        def predict(self, frame: object) -> object:
            return np.array([1.0, bad])

    with pytest.raises(NotFinite):
        Model(model.description, Broken()).predictions(batch_of_rows(ROWS[:2]))
