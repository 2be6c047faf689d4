"""The three models that everybody serves: trained once, stored in the form that each server takes."""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deployments.trusted_types import DEFAULT_TRUSTED_TYPES

PRODUCT = "tumours"
MODELS = ("LogisticRegression", "RandomForest-200", "HistGradientBoosting")
_SERVED_ROWS = 8_000
_SEED = 7


@dataclass(frozen=True, slots=True)
class Forms:
    """One fitted model: the same estimator in every form, and rows with what it says of them.

    `seatrial` and `mlflow` are folders; `joblib` is for servers that pass arrays: there the estimator has forgotten the
    names of its columns, so that scikit-learn does not warn about their absence with each request.
    """

    folder: Path

    @property
    def seatrial(self) -> Path:
        """Folder with a manifest, as our registry hands it out."""
        return self.folder / "seatrial"

    @property
    def mlflow(self) -> Path:
        """Folder that `mlflow models serve` takes."""
        return self.folder / "mlflow"

    @property
    def joblib(self) -> Path:
        """File for everybody else."""
        return self.folder / "model.joblib"

    @property
    def rows(self) -> Path:
        """Columns, rows, and the probabilities that scikit-learn gives them."""
        return self.folder / "rows.npz"


def train(name: str, folder: Path) -> Forms:
    """Trains the model of that name and stores every form of it."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer(as_frame=True)
    estimator = _estimator(name).fit(data.data, data.target)
    served = _served_rows(data.data)
    probabilities = estimator.predict_proba(served)
    forms = Forms(folder)
    forms.seatrial.mkdir(parents=True)
    np.savez(forms.rows, columns=served.columns.to_numpy(str), rows=served.to_numpy(), probabilities=probabilities)
    _store_for_mlflow(estimator, served, forms.mlflow)
    _store_for_seatrial(estimator, served, probabilities, forms.seatrial)
    _store_for_others(estimator, forms.joblib)
    return forms


def _estimator(name: str) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    match name:
        case "LogisticRegression":
            return make_pipeline(StandardScaler(), LogisticRegression())
        case "RandomForest-200":
            return RandomForestClassifier(200, random_state=_SEED)
        case _:
            return HistGradientBoostingClassifier(random_state=_SEED)


def _served_rows(frame: Any) -> Any:
    """Rows like the trained ones, none of them equal to one."""
    chance = np.random.default_rng(_SEED)
    drawn = frame.sample(_SERVED_ROWS, replace=True, random_state=_SEED).reset_index(drop=True)
    return drawn * chance.uniform(0.95, 1.05, drawn.shape)


def _store_for_mlflow(estimator: Any, served: Any, folder: Path) -> None:
    import mlflow.sklearn
    from mlflow.models import infer_signature

    signature = infer_signature(served.head(), estimator.predict_proba(served.head()))
    mlflow.sklearn.save_model(
        estimator,
        folder,
        signature=signature,
        pyfunc_predict_fn="predict_proba",
        skops_trusted_types=list(DEFAULT_TRUSTED_TYPES),
        pip_requirements=["scikit-learn"],
    )


def _store_for_seatrial(estimator: Any, served: Any, probabilities: Any, folder: Path) -> None:
    import skops.io
    import yaml

    (folder / "model").mkdir()
    skops.io.dump(estimator, folder / "model" / "model.skops")
    names = served.columns.tolist()
    ours = {
        "product": PRODUCT,
        "task": "classification",
        "output": "probability",
        "classes": estimator.classes_.tolist(),
        "features": [{"name": name, "kind": "numeric"} for name in names],
    }
    inputs = json.dumps([{"name": name, "type": "double", "required": True} for name in names])
    description = {"signature": {"inputs": inputs}, "metadata": {"seatrial": ours}}
    (folder / "model" / "MLmodel").write_text(yaml.safe_dump(description))
    request = {"dataframe_split": {"columns": names, "data": served[:10].to_numpy().tolist()}}
    verification = {"request": request, "predictions": probabilities[:10].tolist()}
    (folder / "verification.json").write_text(json.dumps(verification))
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    digests = {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (folder / "manifest.json").write_text(json.dumps(digests))


def _store_for_others(estimator: Any, file: Path) -> None:
    import joblib

    for part in (estimator, *(step for _, step in getattr(estimator, "steps", ()))):
        if hasattr(part, "feature_names_in_") and "feature_names_in_" in vars(part):
            del part.feature_names_in_
    joblib.dump(estimator, file)


if __name__ == "__main__":
    train(sys.argv[1], Path(sys.argv[2]))
