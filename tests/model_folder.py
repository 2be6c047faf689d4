"""A small, real model folder, as `registry.fetch` would make it: for whoever tests something that serves a model."""

import hashlib
import json
from pathlib import Path
from typing import Any

from deployments.serving.row_batch import Batch

NUMERIC = ("distance", "hour")
CATEGORICAL = ("carrier",)
COLUMNS = (*NUMERIC, *CATEGORICAL)
ROWS: tuple[tuple[Any, ...], ...] = (
    (1400.0, 5.0, "UA"),
    (740.0, None, "B6"),
    (200.0, 21.0, None),
    (2475.0, 17.0, "never seen"),
)


def write_model_folder(
    folder: Path,
    *,
    product: str = "flights",
    task: str = "classification",
    output: str = "probability",
    seed: int = 7,
) -> Path:
    """Trains a tiny pipeline on seeded rows and stores it in `folder`; two seeds make models that differ."""
    estimator = _fitted(task, seed)
    probabilities = output == "probability"
    answers = (estimator.predict_proba if probabilities else estimator.predict)(frame_of(ROWS)).tolist()
    classes = estimator.classes_.tolist() if task == "classification" else None
    return store(folder, estimator, description_of(product, task, output, classes), answers)


def store(folder: Path, estimator: Any, description: dict[str, Any], answers: list[Any]) -> Path:
    """Writes the folder of any estimator over these columns, manifest last."""
    import skops.io
    import yaml

    (folder / "model").mkdir(parents=True)
    skops.io.dump(estimator, folder / "model" / "model.skops")
    (folder / "model" / "MLmodel").write_text(yaml.safe_dump(description))
    request = {"dataframe_split": {"columns": list(COLUMNS), "data": [list(row) for row in ROWS]}}
    (folder / "verification.json").write_text(json.dumps({"request": request, "predictions": answers}))
    write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> None:
    """Declares whatever is in `folder` now to be what was stored."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps(digests))


def verification_of(folder: Path) -> tuple[bytes, list[Any]]:
    """The body to post to /invocations, and the predictions that must come back."""
    verification = json.loads((folder / "verification.json").read_bytes())
    return json.dumps(verification["request"]).encode(), verification["predictions"]


def frame_of(rows: Any) -> Any:
    """Rows as training sees them."""
    import pandas as pd

    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    numbers = {name: pd.Series(columns[name], dtype="float64") for name in NUMERIC}
    return pd.DataFrame(numbers | {name: pd.Series(columns[name], dtype=object) for name in CATEGORICAL})


def batch_of_rows(rows: Any) -> Batch:
    """Rows as the server sees them."""
    import numpy as np

    numbers = np.array([row[: len(NUMERIC)] for row in rows], dtype=np.float64)
    return Batch(len(rows), numbers, tuple(zip(*(row[len(NUMERIC) :] for row in rows), strict=True)))


def description_of(product: str, task: str, output: str, classes: list[Any] | None) -> dict[str, Any]:
    """What stands beside a model of these columns."""
    inputs = [
        *({"name": name, "type": "double", "required": True} for name in NUMERIC),
        *({"name": name, "type": "string", "required": False} for name in CATEGORICAL),
    ]
    features = [
        *({"name": name, "kind": "numeric"} for name in NUMERIC),
        *({"name": name, "kind": "categorical"} for name in CATEGORICAL),
    ]
    ours = {"product": product, "task": task, "output": output, "classes": classes, "features": features}
    return {"signature": {"inputs": json.dumps(inputs)}, "metadata": {"seatrial": ours}}


def _fitted(task: str, seed: int) -> Any:
    import numpy as np
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    chance = np.random.default_rng(seed)
    distance, hour = chance.uniform(100, 2500, 200), chance.uniform(5, 23, 200)
    carrier = chance.choice(np.array(["UA", "B6", "DL"], dtype=object), 200)
    lateness = hour - 14 + distance / 1000 + chance.normal(0, 3, 200)
    numeric = Pipeline([("impute", SimpleImputer()), ("scale", StandardScaler())])
    categorical = Pipeline(
        [
            ("missing", SimpleImputer(strategy="constant", fill_value="(missing)", missing_values=None)),
            ("encode", OneHotEncoder(handle_unknown="ignore")),
        ]
    )
    columns = ColumnTransformer([("numeric", numeric, list(NUMERIC)), ("categorical", categorical, list(CATEGORICAL))])
    classifies = task == "classification"
    pipeline = Pipeline([("features", columns), ("model", LogisticRegression() if classifies else LinearRegression())])
    return pipeline.fit(frame_of(zip(distance, hour, carrier, strict=True)), lateness > 0 if classifies else lateness)
