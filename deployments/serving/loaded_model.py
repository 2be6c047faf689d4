"""A model folder, checked and loaded: what the server knows of its model, and how it predicts."""

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deployments.errors import BadArtifact, SeatrialError
from deployments.model_manifest import MANIFEST, digest_of, files_in, sha256_of
from deployments.serving.codecs.mlflow import columns_of_mlflow
from deployments.serving.compiled.compiled_model import Quick, Unusual
from deployments.serving.input_validation import Unanswerable, batch_of
from deployments.serving.known_categories import with_known_categories
from deployments.serving.memory_budget import rows_within
from deployments.serving.model_metadata import (
    DESCRIPTION,
    FETCH,
    Description,
    Feature,
    Kind,
    Output,
    read_description,
)
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import Batch
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, load_model

if TYPE_CHECKING:
    import numpy as np

_MODEL = "model/model.skops"
_VERIFICATION = "verification.json"
_MOST_SAMPLES: Final = 10_000
_LARGEST_FLOAT32: Final = 3.4028234663852886e38


class NotFinite(ArithmeticError):
    """The model predicted NaN or an infinity, which no JSON can carry."""


class NoAnswer(TypeError):
    """What the model returned are no predictions of the rows that it was asked about."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model; `quick` gives the estimator's own answers at a fraction of the cost, where it is there."""

    description: Description
    estimator: Any
    quick: Quick | None = None

    def predictions(self, batch: Batch) -> "np.ndarray[Any, Any]":
        """A class or a number a row, shape (rows,); of some regressions several numbers, shape (rows, numbers).

        Raises `NotFinite`, `NoAnswer`, and `Unanswerable` for numbers that the estimator refuses.
        """
        array = _array_of(self._asked("predict", batch))
        if array.shape[:1] != (batch.rows,) or array.ndim > 2 or (array.ndim == 2 and self.description.classes):
            raise NoAnswer
        return _finite(array)

    def probabilities(self, batch: Batch) -> "np.ndarray[Any, Any]":
        """Probabilities of `description.classes` in their order, shape (rows, classes). Raises as `predictions`."""
        array = _array_of(self._asked("predict_proba", batch))
        if array.shape != (batch.rows, len(self.description.classes)) or array.dtype.kind != "f":
            raise NoAnswer
        return _finite(array)

    def _asked(self, method: str, batch: Batch) -> Any:
        import numpy as np

        with np.errstate(all="ignore"):
            if self.quick is not None:
                with contextlib.suppress(Unusual):
                    return getattr(self.quick, method)(batch)
            features = self.description.features
            try:
                return getattr(self.estimator, method)(batch.frame(features))
            except ValueError as error:
                if refused := _refused_columns(batch, features):
                    raise Unanswerable(422, f"the model cannot take {refused}") from error
                raise


def load(
    folder: Path,
    product: str,
    trusted: Sequence[str] = (),
    digest: str = "",
    comes_to: Callable[[str], None] = lambda _: None,
) -> Model:
    """The model in `folder`, every file of which is what it was when the model was stored; compiled if it can be.

    `trusted` names types beyond `DEFAULT_TRUSTED_TYPES` that it may hold, `digest` stands for the only manifest that is
    taken (see `deployments.model_manifest`; empty: the one beside the model). `comes_to` is told what is begun.
    Raises `BadArtifact` before anything
    of the model is constructed: a file is missing, changed or new, the description is broken, or of another product.
    """
    comes_to("checking the files of the model")
    check_manifest(folder, digest)
    description = read_description(folder)
    if description.product != product:
        raise BadArtifact(
            f"{folder} holds a model of {description.product!r}, not of {product!r}: give its own --product"
        )
    comes_to("loading the model")
    estimator = load_model(folder / _MODEL, (*DEFAULT_TRUSTED_TYPES, *trusted))
    _answer_in_one_thread(estimator)
    _check_answers(description, estimator, folder)
    comes_to("compiling the model")
    described = with_known_categories(description, estimator)
    return Model(described, estimator, _compiled(estimator, description, folder))


def check_manifest(folder: Path, digest: str = "") -> None:
    """Raises `BadArtifact`, naming the file, unless `folder` holds exactly the files of its manifest, byte for byte.

    With a `digest` it must be the manifest that this stands for.
    """
    manifest = _read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or not {_MODEL, DESCRIPTION, _VERIFICATION} <= manifest.keys():
        raise BadArtifact(f"{folder / MANIFEST} does not list {_MODEL}, {DESCRIPTION} and {_VERIFICATION}: {FETCH}")
    if digest and digest_of(manifest) != digest:
        raise BadArtifact(
            f"{folder / MANIFEST} has the digest {digest_of(manifest)}, and the model that was judged {digest}: {FETCH}"
        )
    present = files_in(folder)
    if strangers := present.keys() - manifest.keys():
        raise BadArtifact(f"{folder / min(strangers)} was not there when the model was stored: {FETCH}")
    for name, expected in sorted(manifest.items()):
        if name not in present:
            raise BadArtifact(f"{folder / name} is missing: {FETCH}")
        if (actual := sha256_of(present[name])) != expected:
            raise BadArtifact(f"{folder / name} has SHA-256 {actual}, not {expected}: {FETCH}")


def read_verification(folder: Path) -> dict[str, Any]:
    """The request of held-out rows that was stored with the model. Raises `BadArtifact` if there is none."""
    verification = _read_json(folder / _VERIFICATION)
    request = verification.get("request") if isinstance(verification, dict) else None
    if not isinstance(request, dict):
        raise BadArtifact(f"{folder / _VERIFICATION} has no request: {FETCH}")
    return request


def _answer_in_one_thread(estimator: Any) -> None:
    """Threads for one request cost more than they save, and sum in whatever order they end."""
    parameters = estimator.get_params() if hasattr(estimator, "get_params") else {}
    jobs = [name for name, value in parameters.items() if name.endswith("n_jobs") and isinstance(value, int)]
    if jobs:
        estimator.set_params(**dict.fromkeys(jobs, 1))


def _compiled(estimator: Any, description: Description, folder: Path) -> Quick | None:
    from deployments.serving.compiled.compiler import prepare

    samples, features, classes = None, description.features, len(description.classes or ())
    with contextlib.suppress(SeatrialError):
        most = Limits(rows=rows_within(_MOST_SAMPLES, len(features), classes))
        samples = batch_of(columns_of_mlflow(read_verification(folder), features), features, most)
    return prepare(estimator, features, samples)


def _refused_columns(batch: Batch, features: Sequence[Feature]) -> str:
    """The columns for which an estimator may have refused the rows, in words; nothing if they look as they should."""
    import numpy as np

    numeric = [feature.name for feature in features if feature.kind is Kind.NUMERIC]
    huge, missing = np.abs(batch.numbers) > _LARGEST_FLOAT32, np.isnan(batch.numbers)
    for cells, what in ((huge, "so large a number"), (missing, "null")):
        if names := [repr(name) for name, refused in zip(numeric, cells.any(axis=0), strict=True) if refused]:
            return f"{what} in column {' or '.join(names)}"
    return ""


def _check_answers(description: Description, estimator: Any, folder: Path) -> None:
    if description.output is not Output.PROBABILITY:
        return
    if not hasattr(estimator, "predict_proba"):
        raise BadArtifact(f"the model in {folder} has no probabilities: train it with output: prediction")
    if tuple(estimator.classes_.tolist()) != description.classes:
        raise BadArtifact(f"the model in {folder} knows other classes than its description: {FETCH}")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadArtifact(f"{path} cannot be read ({type(error).__name__}: {error}): {FETCH}") from error


def _array_of(values: Any) -> "np.ndarray[Any, Any]":
    """A view of a few numbers may be an array of 10¹² of them: nothing is done with any before its shape is known."""
    import numpy as np

    return np.asarray(values)


def _finite(array: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    kind = array.dtype.kind
    if kind == "f":
        array = array.astype(np.float64, copy=False)  # a longer one may be infinite now
        if not np.isfinite(array).all():
            raise NotFinite
    elif kind == "O":
        _check_objects(array)
    elif kind not in "biuU":
        raise NoAnswer
    return array


def _check_objects(array: "np.ndarray[Any, Any]") -> None:
    """Raises `NoAnswer` unless they are labels or numbers, each its own value; `NotFinite` as for numbers."""
    import numpy as np

    for value in array.ravel().tolist():
        if not isinstance(value, str | int | float | np.generic):
            raise NoAnswer
        if isinstance(value, float | np.floating) and not isfinite(value):
            raise NotFinite
