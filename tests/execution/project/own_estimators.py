"""Estimators of a user's own: one sleeps, one kills the worker that fits it, once or every time."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV


class Sleeping(DummyClassifier):
    """Takes `seconds` to be fitted, and makes the file `mark` when it begins."""

    def __init__(self, seconds: float = 0.0, mark: str = "mark", random_state: int | None = None) -> None:
        super().__init__(random_state=random_state)
        self.seconds = seconds
        self.mark = mark

    def fit(self, rows: Any, target: Any) -> Any:
        Path(self.mark).touch()
        time.sleep(self.seconds)
        return super().fit(rows, target)


class Lethal(DummyClassifier):
    """Kills its process if the file `mark` is there, and takes the file away; every time without a mark."""

    def __init__(self, mark: str = "", random_state: int | None = None) -> None:
        super().__init__(random_state=random_state)
        self.mark = mark

    def fit(self, rows: Any, target: Any) -> Any:
        if not self.mark or Path(self.mark).exists():
            Path(self.mark or "nothing").unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit(rows, target)


def sleeping(mark: str) -> GridSearchCV:
    return GridSearchCV(Sleeping(1.0, mark), {"random_state": list(range(100))}, cv=2)


def lethal(mark: str) -> VotingClassifier:
    return VotingClassifier([(str(number), Lethal(mark)) for number in range(4)])


def searching() -> GridSearchCV:
    return GridSearchCV(LogisticRegression(), {"C": [0.001, 0.1, 10.0]}, cv=4)
