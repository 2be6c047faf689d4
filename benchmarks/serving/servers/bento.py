"""BentoML's service: an array in, an array out. The model's file is in SERVED_MODEL."""

import os

import bentoml
import joblib
import numpy as np


@bentoml.service(workers=1, logging={"access": {"enabled": False}})
class Tumours:
    """One model."""

    def __init__(self) -> None:
        self._model = joblib.load(os.environ["SERVED_MODEL"])

    @bentoml.api
    async def predict(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities, a row for each row; on the event loop, for a thread would cost more than it wins."""
        return self._model.predict_proba(rows)
