"""The kinds of learning task that Seatrial knows."""

from enum import StrEnum


class TaskKind(StrEnum):
    """What a model predicts: a class or a number."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
