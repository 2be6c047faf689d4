"""Gradient boosting without histograms; `histogram_boosting` has that with them."""

from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled
from deployments.serving.compiled.decision_trees import Trees
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.merged_trees import summed
from deployments.serving.row_batch import Batch


def compile_gradient(model: Any, features: Features) -> Any:
    """None for another kind of model. Raises `NotCompiled`."""
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    if type(model) is GradientBoostingClassifier:
        return Classes(model, features)
    if type(model) is GradientBoostingRegressor:
        return Values(model, features)
    return None


class _Gradient(Trees):
    how = "boosting"

    def __init__(self, model: Any, features: Features) -> None:
        from sklearn.dummy import DummyClassifier, DummyRegressor
        from sklearn.ensemble._gradient_boosting import predict_stages

        if not (isinstance(model.init_, str) or type(model.init_) in {DummyClassifier, DummyRegressor}):
            raise NotCompiled("a first guess that depends on the row")
        super().__init__(features, model.n_features_in_, model.estimators_.ravel(), takes_missing=False)
        self._model = model
        self._add_stages = predict_stages
        self._first = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))

    def _raw(self, batch: Batch) -> np.ndarray:
        """Sums of the trees, shape (rows, outputs)."""
        matrix = self._matrix(batch)
        if self._walks(matrix):
            return self._walked(matrix)
        raw = np.repeat(self._first, batch.rows, axis=0)
        self._add_stages(self._model.estimators_, np.ascontiguousarray(matrix), self._model.learning_rate, raw)
        return raw

    def _walked(self, matrix: np.ndarray) -> np.ndarray:
        stages, outputs = self._model.estimators_.shape
        terms = np.empty((stages + 1, outputs, len(matrix)))
        terms[0] = self._first.T
        np.multiply(self._leaves(matrix).reshape(stages, outputs, -1), self._model.learning_rate, out=terms[1:])
        return np.ascontiguousarray(summed(terms).T)


class Values(_Gradient):
    """A regression."""

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        return self._raw(batch).ravel()


class Classes(_Gradient):
    """A classifier."""

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        raw = self._raw(batch)
        chosen = (raw.ravel() >= 0).astype(np.intp) if raw.shape[1] == 1 else raw.argmax(axis=1)
        classes: np.ndarray = self._model.classes_.take(chosen)
        return classes

    def predict_proba(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        raw = self._raw(batch)
        probabilities: np.ndarray = self._model._loss.predict_proba(raw.ravel() if raw.shape[1] == 1 else raw)
        return probabilities
