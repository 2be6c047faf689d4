"""Every metric the gate knows, and which way is better.

Names are scikit-learn's; the arithmetic is scikit-learn's too (tasks/gate/scoring.py).
"""

from enum import StrEnum

from tasks.problem_types import TaskKind


class Direction(StrEnum):
    """Which way a metric gets better."""

    HIGHER = "higher"
    LOWER = "lower"


_CLASSIFICATION = {
    "accuracy": Direction.HIGHER,
    "precision": Direction.HIGHER,
    "recall": Direction.HIGHER,
    "f1": Direction.HIGHER,
    "roc_auc": Direction.HIGHER,
    "pr_auc": Direction.HIGHER,
    "log_loss": Direction.LOWER,
    "brier": Direction.LOWER,
}
_REGRESSION = {
    "mse": Direction.LOWER,
    "rmse": Direction.LOWER,
    "mae": Direction.LOWER,
    "median_ae": Direction.LOWER,
    "r2": Direction.HIGHER,
}
_BY_KIND = {TaskKind.CLASSIFICATION: _CLASSIFICATION, TaskKind.REGRESSION: _REGRESSION}


def metrics_of(kind: TaskKind) -> tuple[str, ...]:
    """Names of all metrics for this kind of task, in the order they are shown."""
    return tuple(_BY_KIND[kind])


def direction_of(metric: str) -> Direction:
    """Which way `metric` gets better. Raises KeyError for an unknown one."""
    return (_CLASSIFICATION | _REGRESSION)[metric]
