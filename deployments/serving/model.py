"""A model folder, checked and loaded: what the server knows of its model, and how it predicts."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.errors import BadArtifact
from deployments.trusted import DEFAULT_TRUSTED_TYPES, load_model

if TYPE_CHECKING:
    import pandas as pd

_MODEL = "model/model.skops"
_DESCRIPTION = "model/MLmodel"
_VERIFICATION = "verification.json"
_MANIFEST = "manifest.json"


class Kind(StrEnum):
    """How a feature enters the frame: as a float64, or as the text of a category."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


class Output(StrEnum):
    """What `/invocations` answers with."""

    PREDICTION = "prediction"
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class Feature:
    """One input column. `type` is MLflow's name (double, long, string, …); one that is not required may be absent."""

    name: str
    kind: Kind
    type: str
    required: bool


@dataclass(frozen=True, slots=True)
class Description:
    """What a model takes and gives, as stored beside it. A regression has no `classes`."""

    product: str
    output: Output
    classes: tuple[Any, ...]
    features: tuple[Feature, ...]


class NotFinite(ArithmeticError):
    """The model predicted NaN or an infinity, which no JSON can carry."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model."""

    description: Description
    estimator: Any

    def predictions(self, frame: "pd.DataFrame") -> list[Any]:
        """A class or a number a row. Raises `NotFinite`."""
        return _as_json(self.estimator.predict(frame))

    def probabilities(self, frame: "pd.DataFrame") -> list[list[float]]:
        """Probability of each class, in the order of `description.classes`, a row. Raises `NotFinite`."""
        return _as_json(self.estimator.predict_proba(frame))


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
    if not isinstance(manifest, dict) or not {_MODEL, _DESCRIPTION, _VERIFICATION} <= manifest.keys():
        raise BadArtifact(f"{folder / _MANIFEST} does not list {_MODEL}, {_DESCRIPTION} and {_VERIFICATION}: {_FETCH}")
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()} - {_MANIFEST}
    if strangers := present - manifest.keys():
        raise BadArtifact(f"{folder / min(strangers)} was not there when the model was stored: {_FETCH}")
    for name, expected in sorted(manifest.items()):
        if name not in present:
            raise BadArtifact(f"{folder / name} is missing: {_FETCH}")
        with (folder / name).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise BadArtifact(f"{folder / name} has SHA-256 {actual}, not {expected}: {_FETCH}")


def read_description(folder: Path) -> Description:
    """What stands about the model in its MLmodel file. Raises `BadArtifact` if something is missing there."""
    import yaml

    path = folder / _DESCRIPTION
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe loaders
        ours = document["metadata"]["seatrial"]
        kinds = {feature["name"]: Kind(feature["kind"]) for feature in ours["features"]}
        return Description(
            product=str(ours["product"]),
            output=Output(ours["output"]),
            classes=tuple(ours.get("classes") or ()),
            features=tuple(_feature(column, kinds) for column in json.loads(document["signature"]["inputs"])),
        )
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise BadArtifact(f"{path} does not describe a model ({type(error).__name__}: {error}): {_FETCH}") from error


def read_verification(folder: Path) -> dict[str, Any]:
    """The request of held-out rows that was stored with the model. Raises `BadArtifact` if there is none."""
    verification = _read_json(folder / _VERIFICATION)
    request = verification.get("request") if isinstance(verification, dict) else None
    if not isinstance(request, dict):
        raise BadArtifact(f"{folder / _VERIFICATION} has no request: {_FETCH}")
    return request


_FETCH = "fetch the version again, or train it anew"


def _feature(column: dict[str, Any], kinds: dict[str, Kind]) -> Feature:
    name = column["name"]
    return Feature(name, kinds[name], str(column["type"]), bool(column.get("required", True)))


def _check_answers(model: Model, folder: Path) -> None:
    description = model.description
    if description.output is not Output.PROBABILITY:
        return
    if not hasattr(model.estimator, "predict_proba"):
        raise BadArtifact(f"the model in {folder} has no probabilities: train it with output: prediction")
    if tuple(model.estimator.classes_.tolist()) != description.classes:
        raise BadArtifact(f"the model in {folder} knows other classes than its description: {_FETCH}")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadArtifact(f"{path} cannot be read ({type(error).__name__}: {error}): {_FETCH}") from error


def _as_json(values: Any) -> list[Any]:
    import numpy as np

    array = np.asarray(values)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise NotFinite
    listed: list[Any] = array.tolist()
    return listed
