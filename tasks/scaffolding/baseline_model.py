"""A first model that can be fitted on the rows, and limits for the gate that it keeps: what a constant reaches.

The model is fitted once, as a release would do it, and both are judged on the same held-out rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deployments.clock import Clock
from deployments.errors import BadData, BadModel
from deployments.settings import Settings
from tasks.datasets.split import Split, split_by_time
from tasks.gate.metrics import Direction, direction_of
from tasks.gate.scoring import Answers, Scores, is_constant, score
from tasks.models.features import target_values
from tasks.models.fitting import fit
from tasks.models.predictions import predict_rows
from tasks.problem_types import TaskKind
from tasks.product_spec import DataSection, ProductSpec

if TYPE_CHECKING:
    import pandas as pd

# The metrics of a first gate, in the order of preference, those of chance first.
_METRICS: Final = {
    TaskKind.CLASSIFICATION: (("roc_auc", "log_loss"), ("accuracy",)),
    TaskKind.REGRESSION: (("mae", "rmse"),),
}
_SHARES: Final = (0.25, 0.4, 0.5)
# Boosted trees need so many rows before they say anything.
_MANY_ROWS: Final = 1000
_MOST_ROWS: Final = 100_000
_MARGINS: Final = {Direction.HIGHER: 0.02, Direction.LOWER: 0.05}
_ROOM: Final = 0.1


@dataclass(frozen=True, slots=True)
class Maker:
    """An estimator with its parameters, and how its features are made."""

    estimator: str
    parameters: dict[str, Any]
    numeric: dict[str, Any]
    categorical: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limit:
    """One threshold of the gate, on the held-out rows.

    `constant` is what the same answer for every row reaches there, `model` what the first model does; `margin` is how
    much worse than a champion still counts as not worse.
    """

    metric: str
    limit: float
    constant: float
    model: float
    margin: float

    @property
    def side(self) -> str:
        """Which field of a threshold the limit is: `min` or `max`."""
        return "min" if direction_of(self.metric) is Direction.HIGHER else "max"

    @property
    def beats_constant(self) -> bool:
        """Whether the first model is better than a constant."""
        return _better(self.metric, self.model, self.constant)


def makers(task: TaskKind, rows: int) -> tuple[Maker, ...]:
    """Estimators to try, the first that fits is taken: boosted trees, and a linear model for few rows."""
    classes = task is TaskKind.CLASSIFICATION
    linear = Maker(
        "sklearn.linear_model.LogisticRegression" if classes else "sklearn.linear_model.Ridge",
        {"max_iter": 1000} if classes else {},
        {"impute": "median", "scale": "standard"},
        {"encode": "one_hot"},
    )
    kind = "Classifier" if classes else "Regressor"
    raw = {"impute": "none", "scale": "none"}
    trees = Maker(f"sklearn.ensemble.HistGradientBoosting{kind}", {}, raw, {"encode": "ordinal"})
    tree = Maker(f"sklearn.tree.DecisionTree{kind}", {"max_depth": 4}, linear.numeric, trees.categorical)
    return (trees, linear, tree) if rows >= _MANY_ROWS else (linear, tree)


def held_out_share(frame: "pd.DataFrame", data: DataSection) -> tuple[Split, float]:
    """A split of which both parts can be used, and the share that it holds out. Raises `BadData` if there is none."""
    reasons = []
    for share in _SHARES:
        rule = data.split.model_copy(update={"share": share, "evaluation": None})
        try:
            return split_by_time(frame, data.model_copy(update={"split": rule})), share
        except BadData as error:
            reasons.append(str(error))
    raise BadData(f"the rows cannot be split into a part to learn from and one to judge by: {reasons[0]}")


def limits(spec: ProductSpec, split: Split, settings: Settings, clock: Clock) -> tuple[Limit, ...]:
    """The limits of the gate, by fitting the model of `spec`.

    Where the model is better than a constant, the limit is what the constant reaches; where it nowhere is, something
    that the model keeps with room. Raises `BadModel` for one that cannot be fitted or says the same of every row.
    """
    few = Split(_sample(split.training), _sample(split.evaluation), split.boundary)
    fitted = fit(spec, few.training, settings, clock)
    answers = predict_rows(fitted.model, few.evaluation, fitted.features, spec.data.target, spec.model.task)
    if is_constant(answers):
        raise BadModel(f"{spec.model.estimator} says the same of every held-out row")
    model, constant = score(spec.model.task, answers), _constant(spec, few, answers)
    every = [[_limit(metric, model, constant) for metric in group] for group in _METRICS[spec.model.task]]
    for group in every:
        if kept := tuple(each for each in group if each is not None and each.beats_constant):
            return kept
    known = [each for group in every for each in group if each is not None]
    if not known:
        raise BadModel(f"no metric can be computed on the held-out rows: {next(iter(model.reasons.values()), '')}")
    return (known[0],)


def _sample(frame: "pd.DataFrame") -> "pd.DataFrame":
    return frame if len(frame) <= _MOST_ROWS else frame.sample(_MOST_ROWS, random_state=0).sort_index()


def _constant(spec: ProductSpec, split: Split, answers: Answers) -> Scores:
    """What the best single answer for all rows, as training knows it, reaches on the held-out rows."""
    import numpy as np

    learned, rows = target_values(split.training, spec.data.target, spec.model.task), len(answers.truth)
    if spec.model.task is TaskKind.REGRESSION:
        by = {"mae": float(np.median(learned)), "rmse": float(np.mean(learned))}
        reached = {
            name: score(spec.model.task, Answers(answers.truth, np.full(rows, said))).values[name]
            for name, said in by.items()
        }
        return Scores(reached, {})
    classes, counts = np.unique(learned, return_counts=True)
    shares = np.tile(counts / counts.sum(), (rows, 1))
    said = np.full(rows, classes[counts.argmax()])
    return score(spec.model.task, Answers(answers.truth, said, shares, tuple(classes.tolist())))


def _limit(metric: str, model: Scores, constant: Scores) -> Limit | None:
    """None where either has no such number."""
    reached, by_constant = model.values[metric], constant.values[metric]
    if math.isnan(reached) or math.isnan(by_constant):
        return None
    margin = _margin(metric, by_constant)
    better = _better(metric, reached, by_constant)
    limit = by_constant if better else _with_room(metric, reached)
    return Limit(metric, _rounded(metric, limit), by_constant, reached, margin)


def _better(metric: str, one: float, other: float) -> bool:
    return one > other if direction_of(metric) is Direction.HIGHER else one < other


def _with_room(metric: str, value: float) -> float:
    return value * (1 - _ROOM) if direction_of(metric) is Direction.HIGHER else value * (1 + _ROOM)


def _margin(metric: str, by_constant: float) -> float:
    direction = direction_of(metric)
    return _significant(_MARGINS[direction] * (1.0 if direction is Direction.HIGHER else abs(by_constant)), math.ceil)


def _rounded(metric: str, value: float) -> float:
    """To three digits, towards what more models keep."""
    return _significant(value, math.floor if direction_of(metric) is Direction.HIGHER else math.ceil)


def _significant(value: float, towards: Any) -> float:
    if value == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    return float(f"{towards(value / step) * step:.12g}")


def each_metric(chosen: tuple[Limit, ...]) -> Iterator[str]:
    """Sentences for people: what the first model reached, beside a constant."""
    for each in chosen:
        told = "better" if each.beats_constant else "no better"
        yield f"{each.metric} {each.model:.4g} on the held-out rows, {told} than {each.constant:.4g} of a constant"
