"""Any estimator's own methods, given an array in place of a frame."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deployments.serving.compiled.compiled_model import Unusual
from deployments.serving.compiled.feature_matrix import Features
from deployments.serving.compiled.numeric_features import without_names
from deployments.serving.compiled.probe_batches import NO_SPLITS
from deployments.serving.row_batch import Batch


class Arrays:
    """The estimator as it is, behind compiled features."""

    how = "arrays"
    splits = NO_SPLITS

    def __init__(self, model: Any, features: Features) -> None:
        self._model = without_names(model)
        self._features = features

    def variants(self) -> "list[Arrays]":
        """There is but one way."""
        return [self]

    def predict(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual` where that refuses."""
        return self._asked(self._model.predict, batch)

    def predict_proba(self, batch: Batch) -> np.ndarray:
        """As the estimator's own. Raises `Unusual` where that refuses."""
        return self._asked(self._model.predict_proba, batch)

    def _asked(self, method: Callable[[Any], np.ndarray], batch: Batch) -> np.ndarray:
        try:
            return method(self._features.matrix(batch))
        except ValueError as error:
            raise Unusual from error
