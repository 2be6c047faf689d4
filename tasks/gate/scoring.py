"""Every metric of a model on held-out rows; one that cannot be computed is NaN and says why."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tasks.gate.metrics import metrics_of
from tasks.problem_types import TaskKind

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_NO_PROBABILITIES: Final = "the model gives no probabilities"
# Two answers closer than this are the same answer.
_SAME: Final = 1e-12


class _NoValueError(Exception):
    """Why a metric has no value on these rows; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics by name, all of the task's; `reasons` says why for each that is NaN."""

    values: Mapping[str, float]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model said about held-out rows, beside the truth.

    `truth` and `predictions` have the shape (rows,), `probabilities` (rows, classes) in the order of `classes`; None
    if the model gives none. `classes` are the model's own, as text, numbers or booleans; empty for a regression.
    """

    truth: "Array"
    predictions: "Array"
    probabilities: "Array | None" = None
    classes: tuple[Any, ...] = ()


def score(kind: TaskKind, answers: Answers) -> Scores:
    """All metrics of `kind`. Precision, recall and f1 are those of the last of two classes, else macro averages.

    Metrics of chance (roc_auc, pr_auc, log_loss, brier) come from the probabilities, with more than two classes one
    class against the rest, in macro average. Nothing is averaged over a class for which a metric is undefined.
    """
    measures = _of_classes() if kind is TaskKind.CLASSIFICATION else _of_numbers()
    values, reasons = {}, {}
    for metric in metrics_of(kind):
        try:
            _check_rows(answers)
            values[metric] = _finite(measures[metric](answers))
        except _NoValueError as why:
            values[metric], reasons[metric] = math.nan, str(why)
    return Scores(values, reasons)


def is_constant(answers: Answers) -> bool:
    """Whether the model says the same about every row; so it does, as far as can be seen, with fewer than two rows."""
    import numpy as np

    said = answers.predictions if answers.probabilities is None else answers.probabilities
    if len(said) < 2:
        return True
    if said.dtype.kind in "fc":
        return bool(np.all(np.ptp(said, axis=0) <= _SAME))
    return bool(np.all(said == said[0]))


def _of_classes() -> dict[str, Callable[[Answers], float]]:
    from sklearn import metrics

    return {
        "accuracy": lambda each: float((each.truth == each.predictions).mean()),
        "precision": lambda each: _counted(each, lambda hits, claimed, _: (hits, claimed), "is never predicted"),
        "recall": lambda each: _counted(each, lambda hits, _, real: (hits, real), "has no held-out row"),
        "f1": lambda each: _counted(each, lambda hits, claimed, real: (2 * hits, claimed + real), "never occurs"),
        "roc_auc": lambda each: _against_rest(each, metrics.roc_auc_score),
        "pr_auc": lambda each: _against_rest(each, metrics.average_precision_score),
        "log_loss": lambda each: metrics.log_loss(each.truth, _probabilities(each), labels=list(each.classes)),
        "brier": lambda each: metrics.brier_score_loss(each.truth, **_brier_terms(each)),
    }


def _of_numbers() -> dict[str, Callable[[Answers], float]]:
    from sklearn import metrics

    return {
        "mse": lambda each: metrics.mean_squared_error(each.truth, each.predictions),
        "rmse": lambda each: metrics.root_mean_squared_error(each.truth, each.predictions),
        "mae": lambda each: metrics.mean_absolute_error(each.truth, each.predictions),
        "median_ae": lambda each: metrics.median_absolute_error(each.truth, each.predictions),
        "r2": _r2,
    }


def _check_rows(answers: Answers) -> None:
    import numpy as np

    if len(answers.truth) == 0:
        raise _NoValueError("there are no held-out rows")
    for name, values in (("predictions", answers.predictions), ("probabilities", answers.probabilities)):
        if values is not None and values.dtype.kind == "f" and not np.isfinite(values).all():
            raise _NoValueError(f"{name} hold NaN or infinite values")


def _counted(answers: Answers, ratio: Callable[[int, int, int], tuple[int, int]], undefined: str) -> float:
    """Mean over the judged classes of a ratio of counts: right claims, all claims, real cases."""
    shares = []
    for label in _judged(answers):
        claimed, real = answers.predictions == label, answers.truth == label
        above, below = ratio(int((claimed & real).sum()), int(claimed.sum()), int(real.sum()))
        if below == 0:
            raise _NoValueError(f"class {label!r} {undefined}")
        shares.append(above / below)
    return sum(shares) / len(shares)


def _against_rest(answers: Answers, measure: Callable[..., float]) -> float:
    """Mean over the judged classes of a ranking measure of that class's probability."""
    probabilities, found = _probabilities(answers), []
    for label in _judged(answers):
        real = answers.truth == label
        if not real.any() or real.all():
            raise _NoValueError(f"{'all' if real.all() else 'no'} held-out rows are of class {label!r}")
        found.append(measure(real, probabilities[:, answers.classes.index(label)]))
    return sum(found) / len(found)


def _judged(answers: Answers) -> tuple[Any, ...]:
    """The positive class of two, else every class; the classes are the model's and those in the rows."""
    present = sorted({*answers.classes, *answers.truth.tolist()}, key=lambda label: (str(type(label)), label))
    return tuple(present[-1:] if len(present) == 2 else present)


def _probabilities(answers: Answers) -> "Array":
    if answers.probabilities is None:
        raise _NoValueError(_NO_PROBABILITIES)
    if strange := set(answers.truth.tolist()) - set(answers.classes):
        raise _NoValueError(f"the model does not know the class {', '.join(sorted(map(repr, strange)))}")
    return answers.probabilities


def _brier_terms(answers: Answers) -> dict[str, Any]:
    probabilities = _probabilities(answers)
    if len(answers.classes) == 2:
        return {"y_proba": probabilities[:, 1], "pos_label": answers.classes[1], "labels": list(answers.classes)}
    return {"y_proba": probabilities, "labels": list(answers.classes)}


def _r2(answers: Answers) -> float:
    from sklearn.metrics import r2_score

    if len(answers.truth) < 2 or (answers.truth == answers.truth[0]).all():
        raise _NoValueError("the target is the same in all held-out rows")
    return float(r2_score(answers.truth, answers.predictions))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise _NoValueError("the arithmetic gave no finite number")
    return float(value)
