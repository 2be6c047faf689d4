"""Numeric columns on their way to the estimator: the operations of the fitted steps, in their order."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled
from deployments.serving.row_batch import Batch

Step = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Numbers:
    """`columns` of a batch's numbers; None are all of them, as they are."""

    columns: np.ndarray | None
    steps: tuple[Step, ...]
    positions: np.ndarray

    @property
    def slots(self) -> int:
        """How many numbers of a row come of it."""
        return len(self.positions)

    def fill(self, batch: Batch, positions: np.ndarray, values: np.ndarray) -> None:
        """Writes where the numbers stand in the matrix, and what they are."""
        positions[...] = self.positions
        values[...] = self.made_of(batch)

    def made_of(self, batch: Batch) -> np.ndarray:
        """The numbers behind the steps, shape (rows, columns)."""
        return self.transformed(batch.numbers if self.columns is None else batch.numbers[:, self.columns])

    def transformed(self, numbers: np.ndarray) -> np.ndarray:
        """What the steps make of these columns."""
        for step in self.steps:
            numbers = step(numbers)
        return numbers


def compile_steps(fitted: Sequence[Any]) -> tuple[Step, ...]:
    """What the fitted transformers do to an array of numbers; none of the steps changes its argument."""
    return tuple(step for transformer in fitted for step in _compile(transformer))


def flattened(estimator: Any) -> list[Any]:
    """The steps of a pipeline, of those within it too; any other estimator is a step of its own."""
    from sklearn.pipeline import Pipeline

    if type(estimator) is not Pipeline:
        return [] if isinstance(estimator, str) and estimator == "passthrough" else [estimator]
    return [step for _, part in estimator.steps if part is not None for step in flattened(part)]


def without_names(fitted: Any) -> Any:
    """The same estimator, which no longer minds that arrays have no column names."""
    nameless = copy.copy(fitted)
    vars(nameless).pop("feature_names_in_", None)
    return nameless


def _compile(fitted: Any) -> list[Step]:
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    if type(fitted) is FunctionTransformer and fitted.func is None:
        return []
    if type(fitted) is SimpleImputer and _fills_plainly(fitted):
        return [_filling(fitted.statistics_.astype(np.float64))]
    if type(fitted) is StandardScaler:
        return _scaling(fitted)
    if not hasattr(fitted, "transform"):
        raise NotCompiled(type(fitted).__name__)
    nameless = without_names(fitted)
    return [lambda numbers: nameless.transform(np.array(numbers))]


def _fills_plainly(imputer: Any) -> bool:
    if imputer.add_indicator or not isinstance(imputer.missing_values, float) or not math.isnan(imputer.missing_values):
        return False
    return not np.isnan(imputer.statistics_.astype(np.float64)).any()


def _filling(statistics: np.ndarray) -> Step:
    def fill(numbers: np.ndarray) -> np.ndarray:
        missing = np.isnan(numbers)
        return np.where(missing, statistics, numbers) if missing.any() else numbers

    return fill


def _scaling(scaler: Any) -> list[Step]:
    steps: list[Step] = []
    if scaler.with_mean:
        mean = scaler.mean_.astype(np.float64)
        steps.append(lambda numbers: numbers - mean)
    if scaler.with_std:
        scale = scaler.scale_.astype(np.float64)
        steps.append(lambda numbers: numbers / scale)
    return steps
