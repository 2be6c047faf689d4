"""What a fitted model says about rows, and the same as the JSON that a server must answer with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deployments.errors import BadModel
from deployments.plurals import counted
from deployments.serving.known_categories import known_categories
from tasks.gate.scoring import Answers
from tasks.models.cell_redaction import hide_cells
from tasks.models.features import Feature, select_features, target_values
from tasks.problem_types import TaskKind
from tasks.product_spec import Output

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def predict_rows(
    model: Any, frame: "pd.DataFrame", features: Sequence[Feature], target: str, task: TaskKind
) -> Answers:
    """The model's answers for all rows of `frame`, beside the truth.

    Raises `BadData` if the rows lack what the model takes, and `BadModel` if it raises, or answers NaN or infinity.
    """
    rows = select_features(frame, features, known_categories(model))
    truth = target_values(frame, target, task)
    probabilities = probabilities_of(model, rows) if task is TaskKind.CLASSIFICATION else None
    return Answers(truth, predictions_of(model, rows), probabilities, classes_of(model, task))


def unknown_shares(model: Any, frame: "pd.DataFrame", features: Sequence[Feature]) -> dict[str, float]:
    """The share of the rows with a category that `model` was never shown, by column with any."""
    known = known_categories(model)
    rows = select_features(frame, [each for each in features if each.name in known], known)
    shares = {name: float((~rows[name].isin(known[str(name)]) & rows[name].notna()).mean()) for name in rows.columns}
    return {str(name): share for name, share in shares.items() if share}


def predictions_of(model: Any, rows: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """One prediction per row, shape (rows,). Raises `BadModel`."""
    import numpy as np

    said = np.asarray(_said(model, "predict", rows))
    if said.shape != (len(rows),):
        raise BadModel(
            f"predict gave the shape {said.shape} for {counted(len(rows), 'row')}: one value per row is needed"
        )
    return said


def probabilities_of(model: Any, rows: "pd.DataFrame") -> "np.ndarray[Any, Any] | None":
    """Probabilities per row in class order, shape (rows, classes); None if the model gives none. Raises `BadModel`."""
    import numpy as np

    return np.asarray(_said(model, "predict_proba", rows)) if hasattr(model, "predict_proba") else None


def classes_of(model: Any, task: TaskKind) -> tuple[Any, ...]:
    """The classes in the order of the probabilities, as plain values; empty for a regression."""
    if task is TaskKind.REGRESSION:
        return ()
    if not hasattr(model, "classes_"):
        raise BadModel("the fitted classifier has no classes_: set it in fit, in the order of the probabilities")
    return tuple(model.classes_.tolist())


def as_json(model: Any, rows: "pd.DataFrame", output: Output) -> list[Any]:
    """What a server answers for `rows`: a row of probabilities each, or one value each. Raises `BadModel`."""
    if output is Output.PREDICTION:
        return list(predictions_of(model, rows).tolist())
    probabilities = probabilities_of(model, rows)
    if probabilities is None:
        raise BadModel("model.output is probability, but the model has no predict_proba: use output: prediction")
    return list(probabilities.tolist())


def _said(model: Any, method: str, rows: "pd.DataFrame") -> Any:
    import numpy as np

    try:
        said = getattr(model, method)(rows)
    except Exception as error:
        hide_cells(error, rows)
        raise BadModel(f"{method} raised {type(error).__name__}: {error}") from error
    numbers = np.asarray(said)
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
        unusable = len(numbers) - int(np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1).sum())
        raise BadModel(
            f"{method} gave NaN or infinity for {unusable:,} of {counted(len(numbers), 'row')}: check the estimator"
        )
    return said
