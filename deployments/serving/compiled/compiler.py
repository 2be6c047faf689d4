"""Compiles a loaded model and proves it: whatever differs from the frame path in one bit is not used."""

import contextlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import Quick, Unusual
from deployments.serving.compiled.decision_trees import compile_trees
from deployments.serving.compiled.estimator_adapter import Arrays
from deployments.serving.compiled.feature_matrix import compile_features, ordinary_rows
from deployments.serving.compiled.gradient_boosting import compile_gradient
from deployments.serving.compiled.histogram_boosting import compile_boosting
from deployments.serving.compiled.linear_models import compile_linear
from deployments.serving.compiled.numeric_features import flattened
from deployments.serving.compiled.probe_batches import probes
from deployments.serving.model_metadata import Feature
from deployments.serving.row_batch import Batch

_COMPILERS = (compile_linear, compile_trees, compile_boosting, compile_gradient, Arrays)


def prepare(estimator: Any, features: Sequence[Feature], samples: Batch | None) -> Quick | None:
    """The fitted estimator, compiled; None if it cannot be, or if it did not prove equal to the frame path.

    `samples` are rows as callers send them. The proof compares values, types and shapes, bit for bit, on them and on
    seeded rows made of the model itself; what the estimator refuses must be refused.
    """
    *steps, model = flattened(estimator)
    # Whatever is strange about a model, the frame path still answers.
    with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(Exception):
        warnings.simplefilter("ignore")
        compiled = compile_features(steps, features)
        ordinary = samples or ordinary_rows(compiled, features, 1)
        for compiler in _COMPILERS:
            with contextlib.suppress(Exception):
                kernel = compiler(model, compiled)
                if kernel is None:
                    continue
                quicks = [_quick(variant, estimator) for variant in kernel.variants()]
                if are_equal(quicks, estimator, features, probes(compiled, kernel.splits, ordinary)):
                    return quicks[0]
    return None


def are_equal(quicks: Sequence[Quick], estimator: Any, features: Sequence[Feature], batches: Iterable[Batch]) -> bool:
    """Whether all answer each batch as the estimator does, or leave it to the estimator; not so the first batch."""
    for number, batch in enumerate(batches):
        for name in ("predict", "predict_proba"):
            methods = [method for quick in quicks if (method := getattr(quick, name))]
            given = [_answers_of(method, batch) for method in methods]
            answers = given if number == 0 else [answer for answer in given if answer is not None]
            if answers:
                expected = _answers_of(getattr(estimator, name), batch.frame(features))
                if not all(_same_bits(expected, answer) for answer in answers):
                    return False
    return True


def _quick(kernel: Any, estimator: Any) -> Quick:
    probable = hasattr(estimator, "predict_proba")
    return Quick(kernel.how, kernel.predict, kernel.predict_proba if probable else None)


def _answers_of(method: Any, rows: Any) -> np.ndarray | None:
    """None where it refuses."""
    try:
        return np.asarray(method(rows))
    except (ValueError, Unusual):
        return None


def _same_bits(expected: np.ndarray | None, actual: np.ndarray | None) -> bool:
    if expected is None or actual is None:
        return expected is actual
    if (expected.dtype, expected.shape) != (actual.dtype, actual.shape):
        return False
    if expected.dtype.hasobject:
        return bool(expected.tolist() == actual.tolist())
    return expected.tobytes() == actual.tobytes()
