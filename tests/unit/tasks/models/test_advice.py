"""Advice on estimators and features is followed here, and helps."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import BadData, BadModel
from deployments.settings import Settings
from tasks.models.estimator import build_estimator
from tasks.models.features import Feature, FeatureKind, select_features, target_values
from tasks.models.resource_limits import resource_limits
from tasks.problem_types import TaskKind
from tests.advice import followed
from tests.unit.tasks.models.real_mlflow import spec

LOGISTIC = "sklearn.linear_model.LogisticRegression"
NEEDS = "from sklearn import linear_model\nfrom sklearn.base import BaseEstimator, ClassifierMixin\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", project=tmp_path, training_jobs=2)


# What a spec says of its model, what is said of that, and what follows the advice.
CHOSEN: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {"estimator": "sklearn.svm.LinearSVC"},
        followed("gives no probabilities: use output: prediction, or another estimator"),
        {"estimator": "sklearn.svm.LinearSVC", "output": "prediction"},
    ),
    (
        {"estimator": "sklearn.linear_model.LogisticRegresion"},
        followed("correct the import path"),
        {"estimator": LOGISTIC},
    ),
    (
        {"estimator": "sklearn.linear_model.ridge_regression"},
        followed("is no class that "),
        {"estimator": LOGISTIC},
    ),
    (
        {"estimator": "sklearn.preprocessing.StandardScaler"},
        followed("has no fit and predict: give a classifier or a regressor"),
        {"estimator": LOGISTIC},
    ),
    (
        {"estimator": "sklearn.decomposition.PCA", "parameters": {"n_components": 2}},
        "has no fit and predict: give a classifier or a regressor",
        {"estimator": LOGISTIC},
    ),
]


@pytest.mark.parametrize(("wrong", "told", "right"), CHOSEN, ids=[str(each) for each in range(len(CHOSEN))])
def test_a_model_that_is_chosen_as_advised_is_made(
    settings: Settings, wrong: dict[str, Any], told: str, right: dict[str, Any]
) -> None:
    with pytest.raises(BadModel) as error:
        build_estimator(spec(**wrong).model, settings)
    assert told in str(error.value)
    build_estimator(spec(**right).model, settings)


def test_a_package_that_is_added_is_allowed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings.project / "own_advised.py").write_text(NEEDS + "class Mine(linear_model.LogisticRegression): pass\n")
    monkeypatch.syspath_prepend(str(settings.project))
    wanted = spec(estimator="own_advised.Mine").model
    with pytest.raises(BadModel) as error:
        build_estimator(wanted, settings)
    assert followed("use one of these, a factory of your own, or add it to SEATRIAL_ALLOWED_PACKAGES") in str(
        error.value
    )
    assert build_estimator(wanted, settings.model_copy(update={"allowed_packages": ("sklearn", "own_advised")}))


WRONG_FACTORIES = [
    ("advised_constant", "make = 3", followed("not callable: give a function")),
    ("advised_broken", "1 / 0", followed("; correct it", "tasks/models/estimator.py")),
    (
        "advised_duck",
        "class Duck:\n    fit = predict = predict_proba = print\nmake = lambda: Duck()",
        followed("let it inherit sklearn.base.BaseEstimator"),
    ),
    (
        "advised_raising",
        "def make():\n    raise OSError('no')",
        followed("; check model.parameters", "tasks/models/estimator.py"),
    ),
]

RIGHT_FACTORY = """
class Mine(ClassifierMixin, BaseEstimator):
    fit = predict = predict_proba = print
make = Mine
"""


@pytest.mark.parametrize(("name", "body", "told"), WRONG_FACTORIES, ids=[name for name, _, _ in WRONG_FACTORIES])
def test_a_factory_that_is_corrected_makes_a_model(settings: Settings, name: str, body: str, told: str) -> None:
    def built(module: str) -> Any:
        return build_estimator(spec(factory=f"{module}.make").model, settings)

    (settings.project / f"{name}.py").write_text(NEEDS + body)
    with pytest.raises(BadModel) as error:
        built(name)
    assert told in str(error.value)
    (settings.project / f"{name}_right.py").write_text(NEEDS + RIGHT_FACTORY)
    assert built(f"{name}_right")


def test_a_factory_of_the_project_is_found(settings: Settings, tmp_path: Path) -> None:
    wanted = spec(factory="advised_here.make").model
    with pytest.raises(BadModel) as error:
        build_estimator(wanted, settings)
    assert followed("write the function there, or check SEATRIAL_PROJECT") in str(error.value)
    there = tmp_path / "there"
    there.mkdir()
    (there / "advised_here.py").write_text(NEEDS + "make = linear_model.LogisticRegression")
    assert build_estimator(wanted, settings.model_copy(update={"project": there}))


def test_a_factory_that_is_renamed_is_no_package(settings: Settings) -> None:
    body = NEEDS + "make = linear_model.LogisticRegression"
    (settings.project / "yaml.py").write_text(body)
    with pytest.raises(BadModel) as error:
        build_estimator(spec(factory="yaml.make").model, settings)
    assert followed("too; rename yours in ") in str(error.value)
    (settings.project / "yaml.py").rename(settings.project / "advised_name.py")
    assert build_estimator(spec(factory="advised_name.make").model, settings)


def test_rows_with_a_whole_target_are_learned_from() -> None:
    rows = pd.DataFrame({"late": [True, None, False]})
    with pytest.raises(BadData) as error:
        target_values(rows, "lade", TaskKind.CLASSIFICATION)
    assert followed("the rows lack the target ") in str(error.value)
    with pytest.raises(BadData) as error:
        target_values(rows, "late", TaskKind.CLASSIFICATION)
    assert followed(": leave these out", "tasks/models/features.py") in str(error.value)
    assert len(target_values(rows.dropna(), "late", TaskKind.CLASSIFICATION)) == 2


def test_a_column_of_words_is_made_categorical_or_cleaned() -> None:
    rows = pd.DataFrame({"x": ["1", "two"]})
    with pytest.raises(BadData) as error:
        select_features(rows, [Feature("x", FeatureKind.NUMERIC)])
    assert followed("make it categorical, or clean it") in str(error.value)
    assert list(select_features(rows, [Feature("x", FeatureKind.CATEGORICAL)])["x"]) == ["1", "two"]
    assert list(select_features(pd.DataFrame({"x": ["1", "2"]}), [Feature("x", FeatureKind.NUMERIC)])["x"]) == [1, 2]


def test_more_memory_that_is_allowed_is_had() -> None:
    with pytest.raises(BadModel) as error, resource_limits(1, 256):
        np.ones(2**30, dtype=np.uint8)
    assert followed("use fewer rows or a smaller model, or raise SEATRIAL_TRAINING_MEMORY_MB") in str(error.value)
    with resource_limits(1, 256):
        np.ones(2**20, dtype=np.uint8)
    with resource_limits(1, 2048):
        np.ones(2**30, dtype=np.uint8)
