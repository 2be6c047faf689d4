"""What a prediction costs: scikit-learn from a frame, scikit-learn from an array, and compiled.

python -m benchmarks.quick [--seconds S]

CPU time per call of `predict_proba`, in microseconds, in one thread. The array path is the estimator alone, given the
matrix that the transformers have already made: no pipeline can be faster with scikit-learn's own methods.
"""

import argparse
import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from deployments.serving.compiled.compiler import prepare
from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.row_batch import Batch
from tasks.models.pipeline import build_pipeline
from tasks.product_spec import CategoricalColumns, NumericColumns, PreprocessingSection

_SEED = 7
_TRAINED = 3_000
_SIZES = (1, 32, 1_000)
_NUMERIC = tuple(f"number_{place}" for place in range(8))
_CATEGORICAL = tuple(f"category_{place}" for place in range(4))
_LETTERS = np.array(list("abcdefghij"), dtype=object)


def main() -> None:
    """Fits three pipelines, measures, prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="time for each number")
    seconds = parser.parse_args().seconds
    warnings.simplefilter("ignore")
    print("| model | rows | frame µs | array µs | compiled µs | frame ÷ compiled | array ÷ compiled | preparing s |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    with threadpool_limits(1):
        for name, estimator in _estimators().items():
            for rows, frame, array, compiled, preparing in _measured(estimator, seconds):
                times = f"{frame:,.0f} | {array:,.0f} | {compiled:,.0f}"
                ratios = f"{frame / compiled:,.0f} | {array / compiled:,.1f}"
                print(f"| {name} | {rows:,} | {times} | {ratios} | {preparing:.2f} |")


def _measured(estimator: Any, seconds: float) -> Iterator[tuple[int, float, float, float, float]]:
    features, fitted = _fitted(estimator)
    began = time.process_time()
    quick = prepare(fitted, features, _rows(1, 50))
    preparing = time.process_time() - began
    assert quick is not None, "not compiled"
    assert quick.predict_proba is not None
    for rows in _SIZES:
        # Other rows with each call: a tree walked twice the same way is in the cache.
        batches = [_rows(seed, rows) for seed in range(2, 18)]
        matrices = [fitted[:-1].transform(batch.frame(features)) for batch in batches]
        frame = _cost(lambda batch: fitted.predict_proba(batch.frame(features)), batches, seconds)
        array = _cost(fitted[-1].predict_proba, matrices, seconds)
        yield rows, frame, array, _cost(quick.predict_proba, batches, seconds), preparing


def _cost(call: Callable[[Any], object], arguments: Sequence[Any], seconds: float) -> float:
    """CPU time of a call, in microseconds."""
    call(arguments[0])
    began = time.process_time()
    for calls, argument in enumerate(itertools.cycle(arguments), start=1):
        call(argument)
        if (spent := time.process_time() - began) > seconds:
            return spent / calls * 1e6
    raise AssertionError("nothing to call with")


def _estimators() -> dict[str, Any]:
    return {
        "LogisticRegression": LogisticRegression(max_iter=1_000),
        "RandomForest-200": RandomForestClassifier(200, n_jobs=1, random_state=_SEED),
        "HistGradientBoosting": HistGradientBoostingClassifier(random_state=_SEED),
        "GradientBoosting": GradientBoostingClassifier(random_state=_SEED),
    }


def _fitted(estimator: Any) -> tuple[tuple[Feature, ...], Any]:
    features = (
        *(Feature(name, Kind.NUMERIC, "double", True) for name in _NUMERIC),
        *(Feature(name, Kind.CATEGORICAL, "string", True) for name in _CATEGORICAL),
    )
    section = PreprocessingSection(
        numeric=NumericColumns(columns=_NUMERIC), categorical=CategoricalColumns(columns=_CATEGORICAL)
    )
    batch, noise = _rows(0, _TRAINED), np.random.default_rng(_SEED).normal(0, 1, _TRAINED)
    score = batch.numbers[:, 0] + batch.numbers[:, 1] * (np.array(batch.categories[0]) == "a") + noise
    return features, build_pipeline(section, estimator).fit(batch.frame(features), score > 0)


def _rows(seed: int, rows: int) -> Batch:
    chance = np.random.default_rng((_SEED, seed))
    categories = tuple(chance.choice(_LETTERS, rows).tolist() for _ in _CATEGORICAL)
    return Batch(rows, chance.normal(0, 1, (rows, len(_NUMERIC))), categories)


if __name__ == "__main__":
    main()
