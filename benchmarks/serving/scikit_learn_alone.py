"""What scikit-learn takes without any server: `predict_proba` of the same estimator on an array, in a loop.

python -m benchmarks.serving.scikit_learn_alone MODEL-FILE ROWS-FILE ROWS-A-CALL SECONDS
"""

import sys
import time

import joblib
import numpy as np


def main(model: str, file: str, size: str, seconds: str) -> None:
    """Prints CPU milliseconds a call."""
    estimator, rows = joblib.load(model), np.ascontiguousarray(np.load(file)["rows"][: int(size)])
    _call(estimator, rows, float(seconds) / 4)
    print(_call(estimator, rows, float(seconds)))


def _call(estimator: object, rows: np.ndarray, seconds: float) -> float:
    until, calls, began = time.monotonic() + seconds, 0, time.process_time()
    while time.monotonic() < until:
        estimator.predict_proba(rows)  # type: ignore[attr-defined]
        calls += 1
    return (time.process_time() - began) / calls * 1000


if __name__ == "__main__":
    main(*sys.argv[1:])
