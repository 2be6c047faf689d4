import sys
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from deployments.errors import BadModel
from deployments.settings import Settings
from tasks.models.estimator import build_estimator
from tests.advice import followed
from tests.unit.tasks.models.real_mlflow import spec

FOREST = "sklearn.ensemble.RandomForestClassifier"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", project=tmp_path, training_jobs=2)


def built(settings: Settings, **model: Any) -> Any:
    return build_estimator(spec(**model).model, settings)


def factory_file(settings: Settings, name: str, body: str) -> str:
    """A module of the user's, under a name that no other test imports."""
    (settings.project / f"{name}.py").write_text(f"from sklearn import linear_model, ensemble, calibration\n{body}\n")
    return f"{name}.make"


def test_a_class_is_made_with_its_parameters_and_the_seed(settings: Settings) -> None:
    made = built(settings, estimator=FOREST, parameters={"n_estimators": 7}, seed=11)

    assert isinstance(made, RandomForestClassifier)
    assert (made.n_estimators, made.random_state) == (7, 11)


def test_a_seed_in_the_parameters_wins(settings: Settings) -> None:
    assert built(settings, estimator=FOREST, parameters={"random_state": 3}).random_state == 3


@pytest.mark.parametrize(("wanted", "given"), [(-1, 2), (8, 2), (1, 1), (None, None)])
def test_jobs_stay_within_the_settings(settings: Settings, wanted: int | None, given: int | None) -> None:
    assert built(settings, estimator=FOREST, parameters={"n_jobs": wanted}).n_jobs == given


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        ("os.path", "not from an allowed package"),
        ("subprocess.Popen", "not from an allowed package"),
        ("sklearn.no_such.Thing", "ModuleNotFoundError"),
        ("sklearn.linear_model.LogisticRegresion", "did you mean LogisticRegression"),
        ("sklearn.linear_model.ridge_regression", "is no class that sklearn defines"),
        ("sklearn.base.warnings", "is no class that sklearn defines"),
        ("sklearn.linear_model._logistic.Integral", "is no class that sklearn defines"),
        ("sklearn.preprocessing.StandardScaler", "no fit and predict"),
        ("sklearn.linear_model.Ridge", "is no classifier, but model.task is classification"),
        ("sklearn.svm.LinearSVC", "gives no probabilities"),
    ],
)
def test_a_class_that_will_not_do_is_refused(settings: Settings, estimator: str, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        built(settings, estimator=estimator)


def test_a_module_outside_the_allowed_packages_is_not_even_imported(settings: Settings) -> None:
    (settings.project / "never_imported.py").write_text("raise SystemExit('imported')")
    sys.path.append(str(settings.project))
    try:
        with pytest.raises(BadModel, match="not from an allowed package"):
            built(settings, estimator="never_imported.Thing")
    finally:
        sys.path.remove(str(settings.project))
    assert "never_imported" not in sys.modules


def test_a_classifier_is_no_regressor(settings: Settings) -> None:
    with pytest.raises(BadModel, match="LogisticRegression is no regressor"):
        built(settings, task="regression", output="prediction", target="delay")


def test_an_unknown_parameter_is_named_with_near_ones(settings: Settings) -> None:
    with pytest.raises(BadModel, match=r"no parameter 'n_estimator' \(did you mean n_estimators"):
        built(settings, estimator=FOREST, parameters={"n_estimator": 3})


def test_a_factory_is_called_with_the_parameters_and_seeded_all_the_way_down(settings: Settings) -> None:
    path = factory_file(
        settings,
        "deep_factory",
        "def make(trees):\n"
        "    forest = ensemble.RandomForestClassifier(trees, n_jobs=16)\n"
        "    return calibration.CalibratedClassifierCV(forest)",
    )

    made = built(settings, factory=path, parameters={"trees": 4}, seed=5)

    assert made.estimator.n_estimators == 4
    assert (made.estimator.random_state, made.estimator.n_jobs) == (5, 2)


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("broken_factory", "1 / 0", "importing broken_factory raised ZeroDivisionError"),
        ("empty_factory", "", "empty_factory has no 'make'"),
        ("constant_factory", "make = 3", "is int, not callable"),
        ("raising_factory", "def make():\n    raise OSError('no licence')", "raised OSError: no licence"),
        ("shy_factory", "def make(depth):\n    pass", "raised TypeError"),
        ("nothing_factory", "def make():\n    return None", "returned NoneType, which has no fit and predict"),
        ("class_factory", "def make():\n    return linear_model.LogisticRegression", "returned the class Logistic"),
        (
            "duck_factory",
            "class Duck:\n    fit = predict = predict_proba = print\nmake = lambda: Duck()",
            "Duck is no scikit-learn estimator",
        ),
        ("wrong_factory", "def make():\n    return linear_model.Ridge()", "Ridge is no classifier"),
    ],
)
def test_a_factory_that_will_not_do_says_why(settings: Settings, name: str, body: str, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        built(settings, factory=factory_file(settings, name, body))


@pytest.mark.parametrize("factory", ["os.getcwd", "subprocess.run", "missing_module.make"])
def test_a_factory_must_lie_in_the_project(settings: Settings, factory: str) -> None:
    with pytest.raises(BadModel, match="no module"):
        built(settings, factory=factory)


def test_a_spec_cannot_call_a_function_of_a_package_that_deletes_folders(settings: Settings) -> None:
    precious = settings.project / "precious"
    precious.mkdir()

    with pytest.raises(BadModel, match="no module 'sklearn'"):
        built(settings, factory="sklearn.datasets.clear_data_home", parameters={"data_home": str(precious)})

    assert precious.is_dir()


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("imports_a_function", "from subprocess import check_call as make"),
        ("imports_a_builtin", "from os import system as make"),
        ("imports_a_class", "from subprocess import Popen as make"),
        ("imports_evaluation", "make = exec"),
    ],
)
def test_what_a_module_of_the_project_merely_imports_is_no_factory(
    settings: Settings, tmp_path: Path, name: str, body: str
) -> None:
    marker = tmp_path / "marker"
    asked = {"args": ["touch", str(marker)]} if "os" not in body else {"command": f"touch {marker}"}
    with pytest.raises(BadModel) as told:
        built(settings, factory=factory_file(settings, name, body), parameters=asked)
    assert followed("which your project only imports: write a function") in str(told.value)
    assert not marker.exists()
    own = factory_file(settings, f"{name}_within", "def make():\n    return linear_model.LogisticRegression()")
    assert built(settings, factory=own) is not None


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("imports_an_estimator", "from sklearn.linear_model import LogisticRegression as make"),
        ("makes_a_partial", "from functools import partial\nmake = partial(linear_model.LogisticRegression, C=2)"),
        ("is_cached", "from functools import cache\n@cache\ndef make():\n    return linear_model.LogisticRegression()"),
        (
            "is_a_method",
            "class Maker:\n    def make(self):\n        return linear_model.LogisticRegression()\nmake = Maker().make",
        ),
    ],
)
def test_what_the_project_makes_of_it_is_a_factory(settings: Settings, name: str, body: str) -> None:
    assert type(built(settings, factory=factory_file(settings, name, body))).__name__ == "LogisticRegression"


def test_a_factory_whose_name_is_taken_by_a_package_is_refused(settings: Settings) -> None:
    path = factory_file(settings, "yaml", "def make():\n    return linear_model.LogisticRegression()")

    with pytest.raises(BadModel, match="an installed package is called 'yaml' too"):
        built(settings, factory=path)


def test_an_estimator_of_an_allowed_package_may_be_a_users_own_class(settings: Settings) -> None:
    (settings.project / "own_package.py").write_text(
        "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression): pass\n"
    )
    sys.path.append(str(settings.project))
    try:
        allowing = settings.model_copy(update={"allowed_packages": ("sklearn", "own_package")})
        assert isinstance(built(allowing, estimator="own_package.Mine"), LogisticRegression)
    finally:
        sys.path.remove(str(settings.project))
