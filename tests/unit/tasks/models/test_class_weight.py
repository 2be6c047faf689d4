from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression

from deployments.clock import SystemClock
from deployments.settings import Settings
from tasks.models.class_weight import name_classes_in_weights
from tasks.models.fitting import fit
from tests.unit.tasks.models.real_mlflow import rows, spec


@pytest.mark.parametrize(
    ("target", "written", "meant"),
    [
        ([0, 1, 1], {"0": 1.0, "1": 5.0}, {0: 1.0, 1: 5.0}),
        ([0, 1, 1], {"0.0": 1.0, "1.0": 5.0}, {0: 1.0, 1: 5.0}),
        ([False, True], {"false": 1.0, "true": 5.0}, {False: 1.0, True: 5.0}),
        (["a", "b"], {"a": 1.0, "b": 5.0}, {"a": 1.0, "b": 5.0}),
        (["0", "1"], {"0": 1.0, "1": 5.0}, {"0": 1.0, "1": 5.0}),
        ([-1, 2], {"-1": 1.0, "2": 5.0, "7": 3.0}, {-1: 1.0, 2: 5.0, "7": 3.0}),
        ([0, 1], {0: 1.0, 1: 5.0}, {0: 1.0, 1: 5.0}),
        ([0, 1], "balanced", "balanced"),
        ([0, 1], None, None),
    ],
)
def test_weights_name_the_classes_that_the_target_has(target: list[Any], written: Any, meant: Any) -> None:
    estimator = LogisticRegression(class_weight=written)

    name_classes_in_weights(estimator, np.array(target))

    assert estimator.class_weight == meant
    if isinstance(meant, dict):
        assert [type(key) for key in estimator.class_weight] == [type(key) for key in meant]


def test_weights_deep_inside_are_meant_too() -> None:
    voting = VotingClassifier([("a", LogisticRegression(class_weight={"0": 1.0, "1": 9.0}))])

    name_classes_in_weights(voting, np.array([0, 1]))

    assert voting.estimators[0][1].class_weight == {0: 1.0, 1: 9.0}


def test_a_model_is_fitted_with_the_weights_of_its_spec(settings: Settings) -> None:
    weighted = spec(parameters={"class_weight": {"false": 1.0, "true": 50.0}})

    model = fit(weighted, rows(), settings, SystemClock()).model
    plain = fit(spec(), rows(), settings, SystemClock()).model

    columns = ["hour", "wind", "carrier", "stops"]
    asked = rows()[columns].astype({"carrier": object, "stops": str})
    assert model.predict(asked).sum() > plain.predict(asked).sum()


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(home=tmp_path / "home", project=tmp_path)
