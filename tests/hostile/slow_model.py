"""A model that takes its time: 20 ms a row, whatever the company, so that fifty rows a second are all that it can."""

import time
from pathlib import Path
from typing import Any

from sklearn.base import BaseEstimator, ClassifierMixin

from tests.model_folder import COLUMNS, ROWS, description_of, store

SECONDS_A_ROW = 0.02
TRUST = ("--trust", "tests.hostile.slow_model.Slow")


class Slow(ClassifierMixin, BaseEstimator):
    """The first column's fraction decides; nothing in it can be compiled."""

    def fit(self, classes: Any) -> "Slow":
        self.classes_ = classes
        return self

    def predict_proba(self, frame: Any) -> Any:
        import numpy as np

        time.sleep(SECONDS_A_ROW * len(frame))
        likely = frame[COLUMNS[0]].to_numpy() % 1
        return np.stack([1 - likely, likely], axis=1)

    def predict(self, frame: Any) -> Any:
        return self.classes_[(self.predict_proba(frame)[:, 1] > 0.5).astype(int)]


def write_slow_model(folder: Path) -> Path:
    """Its folder."""
    import numpy as np

    answers = [[1 - row[0] % 1, row[0] % 1] for row in ROWS]
    description = description_of("flights", "classification", "probability", [False, True])
    return store(folder, Slow().fit(np.array([False, True])), description, answers)
