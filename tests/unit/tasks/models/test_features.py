from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from deployments.errors import BadData
from tasks.models.features import Feature, FeatureKind, features_in, select_features, target_values
from tasks.problem_types import TaskKind
from tests.unit.tasks.models.real_mlflow import rows, spec

NUMERIC, CATEGORICAL = FeatureKind.NUMERIC, FeatureKind.CATEGORICAL


def selected(values: Any, kind: FeatureKind) -> "pd.Series[Any]":
    return select_features(pd.DataFrame({"x": values}), [Feature("x", kind)])["x"]


def test_features_stand_numeric_first_in_the_order_of_the_spec() -> None:
    features = features_in(spec().preprocessing)

    assert [each.name for each in features] == ["hour", "wind", "carrier", "stops"]
    assert list(select_features(rows(5), features).columns) == ["hour", "wind", "carrier", "stops"]


@pytest.mark.parametrize(
    "values",
    [
        [1, 2],
        [1.0, 2.0],
        [True, True],
        ["1", "2.5"],
        [Decimal("1.5"), None],
        pd.array([1, None], dtype="Int64"),
        pd.Series([1, 2], dtype="category"),
        pd.Series([1.5, None], dtype="float32"),
        pd.array([True, None], dtype="boolean"),
    ],
    ids=str,
)
def test_numbers_of_every_kind_become_float64(values: Any) -> None:
    assert selected(values, NUMERIC).dtype == np.float64


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", None], ["a", None]),
        (pd.array(["a", None], dtype="str"), ["a", None]),
        (pd.array(["a", None], dtype="string"), ["a", None]),
        (np.array(["a", float("nan")], dtype=object), ["a", None]),
        ([1, 2], ["1", "2"]),
        ([1.0, None], ["1", None]),
        ([1.5, 2.0], ["1.5", "2"]),
        ([True, False], ["true", "false"]),
        (pd.array([True, None], dtype="boolean"), ["true", None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.array([7, None], dtype="Int64"), ["7", None]),
        ([None, None], [None, None]),
        ([Decimal("1.50"), Decimal("7.00"), None], ["1.5", "7", None]),
    ],
    ids=str,
)
def test_categories_of_every_kind_become_text_with_none_for_missing(values: Any, text: list[str | None]) -> None:
    column = selected(values, CATEGORICAL)

    assert column.dtype == object
    assert column.tolist() == text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["ten", "2"], "column 'x' must hold numbers .*ten"),
        (["1,5", "2"], r"column 'x' must hold numbers \(such as '1,5': data.columns can say decimal: ','\)"),
        (pd.to_datetime(["2026-01-01"]), "column 'x' holds times"),
        (pd.to_datetime(["2026-01-01"], utc=True), "column 'x' holds times"),
        ([1.0, float("inf")], "column 'x' is infinite in 1 row,"),
    ],
    ids=str,
)
def test_what_is_no_number_is_refused_by_name(values: Any, message: str) -> None:
    with pytest.raises(BadData, match=message):
        selected(values, NUMERIC)


def test_every_missing_column_is_named() -> None:
    with pytest.raises(BadData, match="lack the features hour, stops"):
        select_features(rows(3).drop(columns=["hour", "stops"]), features_in(spec().preprocessing))


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        ([True, False], "b", [False, True]),
        ([0, 1], "i", [0, 1]),
        ([0.0, 1.0], "i", [0, 1]),
        (pd.array([1, 2], dtype="Int64"), "i", [1, 2]),
        (["no", "yes"], "U", ["no", "yes"]),
        (np.array([True, False], dtype=object), "b", [False, True]),
        (pd.Series(["b", "a"], dtype="category"), "U", ["a", "b"]),
        ([0.5, 1.0], "U", ["0.5", "1"]),
    ],
    ids=str,
)
def test_classes_are_booleans_whole_numbers_or_text(values: Any, kind: str, classes: list[Any]) -> None:
    target = target_values(pd.DataFrame({"y": values}), "y", TaskKind.CLASSIFICATION)

    assert target.dtype.kind == kind
    assert np.unique(target).tolist() == classes


def test_a_regression_target_is_float64() -> None:
    assert target_values(pd.DataFrame({"y": [1, 2]}), "y", TaskKind.REGRESSION).dtype == np.float64


def test_a_missing_target_is_refused() -> None:
    with pytest.raises(BadData, match="'y' is empty in 1 of 2 rows"):
        target_values(pd.DataFrame({"y": [1, None]}), "y", TaskKind.CLASSIFICATION)
    with pytest.raises(BadData, match="lack the target 'y'"):
        target_values(pd.DataFrame({"x": [1]}), "y", TaskKind.CLASSIFICATION)
