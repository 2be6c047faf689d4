"""Any estimator's own methods, given an array in place of a frame."""

from collections.abc import Callable
from typing import Any

import numpy as np

from deployments.serving.batch import Batch
from deployments.serving.quick.compiled import Unusual
from deployments.serving.quick.features import Features
from deployments.serving.quick.numbers import without_names
from deployments.serving.quick.probes import NO_SPLITS


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
