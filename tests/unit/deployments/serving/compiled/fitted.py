"""Fitted pipelines as training builds them, and batches of odd rows, for the tests of compiled models."""

from typing import Any

import numpy as np

from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.row_batch import Batch
from tasks.models.pipeline import build_pipeline
from tasks.product_spec import CategoricalColumns, NumericColumns, PreprocessingSection

NUMERIC = ("distance", "hour", "count")
CATEGORICAL = ("carrier", "origin")
KNOWN = (("UA", "B6", "DL", "rare"), ("JFK", "LGA", ""))
_ROWS = 300


def features_of(numeric: bool = True, categorical: bool = True) -> tuple[Feature, ...]:
    """The columns of a batch; the two kinds take turns, as a signature may have them."""
    numbers = [Feature(name, Kind.NUMERIC, "double", True) for name in NUMERIC] if numeric else []
    texts = [Feature(name, Kind.CATEGORICAL, "string", False) for name in CATEGORICAL] if categorical else []
    return (*texts[:1], *numbers, *texts[1:])


def preprocessing(numeric: Any = None, categorical: Any = None) -> PreprocessingSection:
    """Columns as a spec names them; None leaves a kind out."""
    return PreprocessingSection(
        numeric=None if numeric is None else NumericColumns(columns=NUMERIC, **numeric),
        categorical=None if categorical is None else CategoricalColumns(columns=CATEGORICAL, **categorical),
    )


def batch_of(seed: int, rows: int, missing: float = 0.1, unseen: float = 0.1, categorical: bool = True) -> Batch:
    """Seeded rows; shares of the values are missing or unseen."""
    chance = np.random.default_rng(seed)
    numbers = np.column_stack(
        [chance.uniform(0, 3000, rows), chance.integers(0, 24, rows), np.round(chance.normal(0, 2, rows))]
    ).astype(np.float64)
    numbers[chance.random(numbers.shape) < missing] = np.nan
    texts = [_texts(known, rows, missing, unseen, chance) for known in KNOWN] if categorical else []
    return Batch(rows, np.ascontiguousarray(numbers), tuple(texts))


def fit(section: PreprocessingSection, estimator: Any, target: str) -> Any:
    """A pipeline over these columns, fitted to `two`, `three` or text classes, or a `number`."""
    return fit_to(build_pipeline(section, estimator), target, missing=0.1)


def fit_to(pipeline: Any, target: str, missing: float, categorical: bool = True) -> Any:
    """Any estimator, fitted to the frames of such rows."""
    batch = batch_of(0, _ROWS, missing, unseen=0.0, categorical=categorical)
    numbers = np.nan_to_num(batch.numbers)
    score = numbers[:, 0] / 1000 + np.sin(numbers[:, 1]) + numbers[:, 2] / 4
    if categorical:
        score += np.array([text == "UA" for text in batch.categories[0]])
    answers = {
        "number": np.exp(score / 3),
        "two": score > np.median(score),
        "three": np.digitize(score, np.quantile(score, [0.3, 0.6])),
        "text": np.array(["early", "late"])[(score > np.median(score)).astype(int)],
    }
    return pipeline.fit(batch.frame(features_of(categorical=categorical)), answers[target])


def _texts(known: tuple[str, ...], rows: int, missing: float, unseen: float, chance: Any) -> list[str | None]:
    share = np.array([0.6, 0.3, 0.08, 0.02][: len(known)])
    texts: list[str | None] = chance.choice(np.array(known, dtype=object), rows, p=share / share.sum()).tolist()
    kinds = chance.random(rows)
    return [
        None if kind < missing else "never seen" if kind < missing + unseen else text
        for kind, text in zip(kinds, texts, strict=True)
    ]
