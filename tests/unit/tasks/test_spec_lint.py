"""Whatever a release would refuse without looking at the data, `lint` says."""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from deployments.settings import Settings
from tasks.product_spec import ProductSpec
from tasks.spec_file import find_spec, load_product
from tasks.spec_lint import Checked, check_spec
from tasks.suite_proposal import propose
from tests.advice import followed
from tests.unit.tasks.models.real_mlflow import spec as product


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", project=tmp_path)


def spec(folder: Path, suite: Any = None, **model: Any) -> ProductSpec:
    made = product(**model)
    place = folder / "suite.json"
    if suite is not ...:
        place.write_text(json.dumps(suite or {"name": "punctual"}))
    return made.model_copy(update={"validation": made.validation.model_copy(update={"suite": str(place)})})


def module(folder: Path, name: str, text: str) -> str:
    (folder / f"{name}.py").write_text(text)
    return f"{name}.make"


def test_a_spec_of_which_nothing_is_wrong(tmp_path: Path, settings: Settings) -> None:
    found = check_spec(spec(tmp_path), settings)

    assert (found.problems, found.notes) == ((), ())


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"estimator": "xgboost.XGBClassifier"}, "not from an allowed package"),
        ({"estimator": "sklearn.linear_model.LogisticRegresion"}, "did you mean LogisticRegression"),
        ({"parameters": {"C": -1}}, "'C' parameter of LogisticRegression must be"),
        ({"parameters": {"C": "1e-3"}}, "'C' parameter of LogisticRegression must be"),
        ({"parameters": {"solver": "lbgfs"}}, "'solver' parameter of LogisticRegression must be"),
        ({"factory": "no_such_file.make"}, "no module 'no_such_file'"),
    ],
)
def test_a_model_that_cannot_be_made(model: dict[str, Any], says: str, tmp_path: Path, settings: Settings) -> None:
    (problem,) = check_spec(spec(tmp_path, **model), settings).problems

    assert says in problem


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        (
            "lambda_step",
            "from sklearn.pipeline import Pipeline\nfrom sklearn.preprocessing import FunctionTransformer\n"
            "from sklearn.linear_model import LogisticRegression\n"
            "def make():\n"
            "    return Pipeline([('a', FunctionTransformer(lambda x: x)), ('b', LogisticRegression())])\n",
            "lambda_step.<lambda>, which no server can import: write it with `def`",
        ),
        (
            "local_class",
            "from sklearn.linear_model import LogisticRegression\n"
            "def make():\n    class Mine(LogisticRegression): pass\n    return Mine()\n",
            "local_class.Mine, which no server can import",
        ),
        (
            "partial_step",
            "import functools\nfrom sklearn.pipeline import Pipeline\n"
            "from sklearn.preprocessing import FunctionTransformer\n"
            "from sklearn.linear_model import LogisticRegression\n"
            "def square(x, by=2):\n    return x ** by\n"
            "def make():\n    return Pipeline([('a', FunctionTransformer(functools.partial(square, by=3))), "
            "('b', LogisticRegression())])\n",
            "functools.partial can be made to run any code",
        ),
        (
            "own_class",
            "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression): pass\n"
            "def make():\n    return Mine()\n",
            "name them under model.trusted_types",
        ),
    ],
)
def test_a_model_that_cannot_be_stored(name: str, text: str, says: str, tmp_path: Path, settings: Settings) -> None:
    (problem,) = check_spec(spec(tmp_path, factory=module(tmp_path, name, text)), settings).problems

    assert says in problem
    sys.modules.pop(name, None)


def test_what_the_advice_for_a_lambda_says_is_accepted(tmp_path: Path, settings: Settings) -> None:
    text = (
        "from sklearn.pipeline import Pipeline\nfrom sklearn.preprocessing import FunctionTransformer\n"
        "from sklearn.linear_model import LogisticRegression\ndef same(x):\n    return x\n"
        "def make():\n    return Pipeline([('a', FunctionTransformer({})), ('b', LogisticRegression())])\n"
    )
    (problem,) = check_spec(
        spec(tmp_path, factory=module(tmp_path, "nameless", text.format("lambda x: x"))), settings
    ).problems
    named = spec(
        tmp_path, factory=module(tmp_path, "named_step", text.format("same")), trusted_types=["named_step.same"]
    )

    assert followed("write it with `def` or `class` at the top of a module of yours, and name it under") in problem
    assert check_spec(named, settings).problems == ()


def test_a_factory_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, settings: Settings) -> None:
    module(tmp_path, "few_makers", "import numpy as np\nfrom json import dumps\ndef nap():\n    pass\n")

    (problem,) = check_spec(spec(tmp_path, factory="few_makers.np_"), settings).problems

    assert "few_makers has no 'np_' (did you mean nap?)" in problem


def test_a_suite_that_is_not_there_yet_is_a_note(tmp_path: Path, settings: Settings) -> None:
    pd.DataFrame({"a": [1.0, 2.0], "late": [0, 1]}).to_parquet(tmp_path / "rows.parquet")
    text = yaml.safe_dump(
        {
            "product": "punctual",
            "data": {"source": {"path": "rows.parquet"}, "target": "late"},
            "validation": {"suite": "suite.json"},
            "preprocessing": {"numeric": {"columns": ["a"]}},
            "model": {"task": "classification", "estimator": "sklearn.linear_model.LogisticRegression"},
            "gate": {"thresholds": [{"metric": "accuracy", "min": 0.1}]},
        }
    )
    (settings.specs_folder).mkdir()
    (settings.specs_folder / "punctual.yaml").write_text(text)

    def found() -> Checked:
        return check_spec(load_product(find_spec("punctual", settings.specs_folder)), settings)

    assert found().problems == ()
    assert followed("there is none yet: `seatrial profile") in found().notes[0]
    (settings.specs_folder / "rows.parquet").write_bytes((tmp_path / "rows.parquet").read_bytes())
    propose("punctual", settings).write()
    assert found().notes == ()


@pytest.mark.parametrize(
    ("suite", "says"),
    [
        ({"name": "x", "expectations": [{"type": "expect_nothing_at_all", "kwargs": {}}]}, "unknown"),
        ({"name": "x", "expectatons": []}, "did you mean 'expectations'"),
    ],
)
def test_a_suite_that_cannot_be_used(suite: dict[str, Any], says: str, tmp_path: Path, settings: Settings) -> None:
    (problem,) = check_spec(spec(tmp_path, suite=suite), settings).problems

    assert says in problem


def test_everything_is_said_at_once(tmp_path: Path, settings: Settings) -> None:
    found = check_spec(spec(tmp_path, suite={"nam": 1}, parameters={"C": -1}), settings)

    assert len(found.problems) == 2
