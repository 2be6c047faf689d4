"""Linear models: one product, in the order in which scikit-learn sums it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import NotCompiled, Unusual
from deployments.serving.compiled.feature_matrix import Features, row_starts
from deployments.serving.compiled.probe_batches import NO_SPLITS
from deployments.serving.row_batch import Batch

Scores = Callable[[Batch], np.ndarray]


def compile_linear(model: Any, features: Features) -> Any:
    """None for another kind of model. Raises `NotCompiled`."""
    from sklearn import linear_model as linear

    with_probabilities = {linear.LogisticRegression, linear.LogisticRegressionCV}
    classifiers = {linear.RidgeClassifier, linear.RidgeClassifierCV, linear.Perceptron, linear.SGDClassifier}
    names = "LinearRegression Ridge RidgeCV Lasso LassoCV ElasticNet ElasticNetCV Lars LassoLars BayesianRidge "
    names += "ARDRegression HuberRegressor SGDRegressor OrthogonalMatchingPursuit"
    if type(model) in with_probabilities:
        return ProbableClasses(model, features)
    if type(model) in classifiers:
        return Classes(model, features)
    if type(model) in {getattr(linear, name) for name in names.split()}:
        return Values(model, features)
    return None


class _Linear:
    how = "linear"
    splits = NO_SPLITS

    def variants(self) -> "list[_Linear]":
        """There is but one way."""
        return [self]


class Values(_Linear):
    """A linear regression of one target."""

    def __init__(self, model: Any, features: Features) -> None:
        self._scores = _scores(model, features, model.coef_)
        if model.coef_.ndim != 1:
            raise NotCompiled("several targets")

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        return self._scores(batch)


class Classes(_Linear):
    """A linear classifier."""

    def __init__(self, model: Any, features: Features) -> None:
        self._all_scores = _scores(model, features, model.coef_.T)
        self._classes = model.classes_
        self._two = model.coef_.ndim == 1 or len(model.coef_) == 1

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        scores = self._scores(batch)
        classes: np.ndarray = self._classes.take((scores > 0).astype(np.intp) if self._two else scores.argmax(axis=1))
        return classes

    def _scores(self, batch: Batch) -> np.ndarray:
        scores = self._all_scores(batch)
        return scores.reshape(-1) if self._two else scores


class ProbableClasses(Classes):
    """Logistic regression, of two classes or multinomial."""

    def __init__(self, model: Any, features: Features) -> None:
        from scipy.special import expit

        super().__init__(model, features)
        self._expit = expit

    def predict_proba(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual`."""
        scores = self._scores(batch)
        if not self._two:
            return softmax(scores)
        likely = self._expit(scores)
        both = np.empty((batch.rows, 2))
        np.subtract(1, likely, out=both[:, 0])
        both[:, 1] = likely
        return both


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities, in place of the scores, in the order in which scikit-learn sums them."""
    scores -= scores.max(axis=1).reshape(-1, 1)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1).reshape(-1, 1)
    return scores


def _scores(model: Any, features: Features, coefficients: np.ndarray) -> Scores:
    if coefficients.dtype != np.float64 or not np.isfinite(coefficients).all():
        raise NotCompiled("coefficients that are not finite float64")
    intercept = model.intercept_
    if features.sparse is not None:
        return _sparse_scores(features, coefficients, intercept)

    def scores(batch: Batch) -> np.ndarray:
        matrix = features.dense(batch)
        if not np.isfinite(matrix).all():
            raise Unusual
        scored: np.ndarray = matrix @ coefficients + intercept
        return scored

    return scores


def _sparse_scores(features: Features, coefficients: np.ndarray, intercept: Any) -> Scores:
    """By the kernel that scipy's own product calls. Entries of 0 change no bit: no sum in it is ever -0."""
    from scipy.sparse import _sparsetools

    flat = np.ascontiguousarray(coefficients).ravel()
    ending = coefficients.shape[1:]
    columns = flat.size // features.width

    def scores(batch: Batch) -> np.ndarray:
        positions, values = features.entries(batch)
        if not np.isfinite(values).all():
            raise Unusual
        product = np.zeros((batch.rows, *ending))
        entries = (row_starts(positions), positions.ravel(), values.ravel())
        if columns == 1:
            _sparsetools.csr_matvec(batch.rows, features.width, *entries, flat, product.ravel())
        else:
            _sparsetools.csr_matvecs(batch.rows, features.width, columns, *entries, flat, product.ravel())
        product += intercept
        return product

    return scores
