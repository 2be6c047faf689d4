"""A model folder, checked and loaded: what the server knows of its model, and how it predicts."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.errors import BadArtifact
from deployments.serving.batch import Batch
from deployments.serving.description import DESCRIPTION, FETCH, Description, Output, read_description
from deployments.trusted import DEFAULT_TRUSTED_TYPES, load_model

if TYPE_CHECKING:
    import numpy as np

_MODEL = "model/model.skops"
_VERIFICATION = "verification.json"
_MANIFEST = "manifest.json"


class NotFinite(ArithmeticError):
    """The model predicted NaN or an infinity, which no JSON can carry."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model."""

    description: Description
    estimator: Any
    quick: Any = None

    def predictions(self, batch: Batch) -> "np.ndarray[Any, Any]":
        """A class or a number a row, shape (rows,). Raises `NotFinite`."""
        return _finite(self.estimator.predict(batch.frame(self.description.features)))

    def probabilities(self, batch: Batch) -> "np.ndarray[Any, Any]":
        """Probabilities of `description.classes` in their order, shape (rows, classes). Raises `NotFinite`."""
        return _finite(self.estimator.predict_proba(batch.frame(self.description.features)))


def load(folder: Path, product: str, trusted: Sequence[str] = ()) -> Model:
    """The model in `folder`, every file of which is what it was when the model was stored.

    `trusted` names types beyond `DEFAULT_TRUSTED_TYPES` that it may hold. Raises `BadArtifact` before anything of the
    model is constructed: a file is missing, changed or new, the description is broken, or of another product.
    """
    check_manifest(folder)
    description = read_description(folder)
    if description.product != product:
        raise BadArtifact(
            f"{folder} holds a model of {description.product!r}, not of {product!r}: give its own --product"
        )
    model = Model(description, load_model(folder / _MODEL, (*DEFAULT_TRUSTED_TYPES, *trusted)))
    _check_answers(model, folder)
    return model


def check_manifest(folder: Path) -> None:
    """Raises `BadArtifact`, naming the file, unless `folder` holds exactly the files of its manifest, byte for byte."""
    manifest = _read_json(folder / _MANIFEST)
    if not isinstance(manifest, dict) or not {_MODEL, DESCRIPTION, _VERIFICATION} <= manifest.keys():
        raise BadArtifact(f"{folder / _MANIFEST} does not list {_MODEL}, {DESCRIPTION} and {_VERIFICATION}: {FETCH}")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {_MANIFEST}
    if strangers := present - manifest.keys():
        raise BadArtifact(f"{folder / min(strangers)} was not there when the model was stored: {FETCH}")
    for name, expected in sorted(manifest.items()):
        if name not in present:
            raise BadArtifact(f"{folder / name} is missing: {FETCH}")
        with (folder / name).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise BadArtifact(f"{folder / name} has SHA-256 {actual}, not {expected}: {FETCH}")


def read_verification(folder: Path) -> dict[str, Any]:
    """The request of held-out rows that was stored with the model. Raises `BadArtifact` if there is none."""
    verification = _read_json(folder / _VERIFICATION)
    request = verification.get("request") if isinstance(verification, dict) else None
    if not isinstance(request, dict):
        raise BadArtifact(f"{folder / _VERIFICATION} has no request: {FETCH}")
    return request


def _check_answers(model: Model, folder: Path) -> None:
    description = model.description
    if description.output is not Output.PROBABILITY:
        return
    if not hasattr(model.estimator, "predict_proba"):
        raise BadArtifact(f"the model in {folder} has no probabilities: train it with output: prediction")
    if tuple(model.estimator.classes_.tolist()) != description.classes:
        raise BadArtifact(f"the model in {folder} knows other classes than its description: {FETCH}")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadArtifact(f"{path} cannot be read ({type(error).__name__}: {error}): {FETCH}") from error


def _finite(values: Any) -> "np.ndarray[Any, Any]":
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind != "f":
        return array
    if not np.isfinite(array).all():
        raise NotFinite
    return array.astype(np.float64, copy=False)
