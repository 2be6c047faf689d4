import math
from typing import Any

import numpy as np
import pytest

from tasks.gate.metrics import metrics_of
from tasks.gate.scoring import Answers, is_constant, score
from tasks.problem_types import TaskKind

CLASSES = TaskKind.CLASSIFICATION
NUMBERS = TaskKind.REGRESSION


def binary(truth: list[Any], late: list[float], classes: tuple[Any, Any] = (False, True)) -> Answers:
    chance = np.array(late)
    predictions = np.array([classes[int(each >= 0.5)] for each in late])
    return Answers(np.array(truth), predictions, np.column_stack([1 - chance, chance]), classes)


def numbers(truth: list[float], said: list[float]) -> Answers:
    return Answers(np.array(truth, dtype=float), np.array(said, dtype=float))


def test_binary_metrics_are_those_worked_out_by_hand() -> None:
    scores = score(CLASSES, binary([True, True, False, False], [0.9, 0.4, 0.6, 0.1])).values

    assert scores["accuracy"] == scores["precision"] == scores["recall"] == scores["f1"] == 0.5
    assert scores["roc_auc"] == 0.75
    assert scores["pr_auc"] == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert scores["log_loss"] == pytest.approx(-np.mean(np.log([0.9, 0.4, 0.4, 0.9])))
    assert scores["brier"] == pytest.approx(np.mean(np.square([0.1, 0.6, 0.6, 0.1])))


@pytest.mark.parametrize("classes", [(False, True), (0, 1), ("no", "yes")])
def test_the_last_of_two_classes_is_the_positive_one_whatever_its_type(classes: tuple[Any, Any]) -> None:
    no, yes = classes

    scores = score(CLASSES, binary([yes, no, no, no], [0.9, 0.8, 0.1, 0.2], classes)).values

    assert (scores["precision"], scores["recall"]) == (0.5, 1.0)
    assert scores["roc_auc"] == 1.0
    assert all(math.isfinite(value) for value in scores.values())


def test_multiclass_metrics_are_macro_averages() -> None:
    truth = np.array(["a", "a", "b", "c"])
    predictions = np.array(["a", "b", "b", "c"])
    probabilities = np.array([[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])

    scores = score(CLASSES, Answers(truth, predictions, probabilities, ("a", "b", "c"))).values

    assert scores["recall"] == pytest.approx((1 / 2 + 1 + 1) / 3)
    assert scores["precision"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert scores["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert scores["roc_auc"] == 1.0
    assert scores["log_loss"] == pytest.approx(-np.mean(np.log([0.8, 0.3, 0.8, 0.8])))
    assert scores["brier"] > 0


def test_regression_metrics_are_those_worked_out_by_hand() -> None:
    scores = score(NUMBERS, numbers([1, 2, 3, 4], [1, 2, 3, 8])).values

    assert scores == {"mse": 4.0, "rmse": 2.0, "mae": 1.0, "median_ae": 0.0, "r2": pytest.approx(1 - 16 / 5)}


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        (CLASSES, binary([True], [0.9])),
        (CLASSES, binary([], [])),
        (CLASSES, Answers(np.array([True, False]), np.array([True, False]), None, (False, True))),
        (NUMBERS, numbers([], [])),
        (NUMBERS, numbers([1, 2], [1, float("nan")])),
    ],
)
def test_no_metric_is_ever_missing_and_each_nan_has_a_reason(kind: TaskKind, answers: Answers) -> None:
    scores = score(kind, answers)

    assert tuple(scores.values) == metrics_of(kind)
    unknown = {name for name, value in scores.values.items() if math.isnan(value)}
    assert unknown
    assert unknown == set(scores.reasons)


@pytest.mark.parametrize(
    ("metric", "answers", "reason"),
    [
        ("roc_auc", binary([True, True], [0.9, 0.8]), "all held-out rows are of class True"),
        ("pr_auc", binary([False, False], [0.9, 0.8]), "no held-out rows are of class True"),
        ("precision", binary([True, False], [0.1, 0.2]), "class True is never predicted"),
        ("recall", binary([False, False], [0.1, 0.9]), "class True has no held-out row"),
        ("f1", binary([False, False], [0.1, 0.2]), "class True never occurs"),
        ("brier", Answers(np.array([0, 1]), np.array([0, 1]), None, (0, 1)), "the model gives no probabilities"),
        ("log_loss", binary([0, 2], [0.1, 0.9], (0, 1)), "the model does not know the class 2"),
        ("accuracy", binary([True, False], [float("nan"), 0.5]), "probabilities hold NaN or infinite values"),
        ("recall", binary([], []), "there are no held-out rows"),
    ],
)
def test_a_class_metric_that_cannot_be_computed_is_nan_and_says_why(metric: str, answers: Answers, reason: str) -> None:
    scores = score(CLASSES, answers)

    assert math.isnan(scores.values[metric])
    assert scores.reasons[metric] == reason


def test_r2_of_a_target_that_never_changes_is_nan() -> None:
    scores = score(NUMBERS, numbers([5, 5, 5], [5, 5, 5]))

    assert math.isnan(scores.values["r2"])
    assert scores.reasons == {"r2": "the target is the same in all held-out rows"}
    assert scores.values["mae"] == 0.0


def test_a_model_that_never_hits_has_f1_zero_not_nan() -> None:
    assert score(CLASSES, binary([True, False], [0.1, 0.9])).values["f1"] == 0.0


@pytest.mark.parametrize(
    ("answers", "constant"),
    [
        (binary([True, False], [0.3, 0.3]), True),
        (binary([True, False], [0.3, 0.4]), False),
        (Answers(np.array(["a", "b"]), np.array(["a", "a"]), None, ("a", "b")), True),
        (Answers(np.array(["a", "b"]), np.array(["a", "b"]), None, ("a", "b")), False),
        (numbers([1, 2], [3, 3]), True),
        (numbers([1, 2], [3, 3.001]), False),
        (numbers([1], [1]), True),
    ],
)
def test_a_constant_predictor_is_seen(answers: Answers, constant: bool) -> None:
    assert is_constant(answers) is constant
