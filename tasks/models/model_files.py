"""A fitted model as MLflow's files: skops, signature, requirements, and what the server must know."""

import importlib
import warnings
from pathlib import Path
from typing import Any

from deployments.errors import BadModel
from deployments.settings import Settings
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES, refusal
from tasks.models.features import FeatureKind
from tasks.models.fitting import Fitted
from tasks.models.mlmodel_metadata import ModelCard, metadata_of
from tasks.models.provenance import requirements
from tasks.product_spec import Output, ProductSpec


def write_model(place: Path, fitted: Fitted, card: ModelCard, logged: Any, trusted: list[str]) -> None:
    """Writes the folder `place` as MLflow's scikit-learn flavor does, for the logged model `logged` of a run.

    This is `log_model` without its global state and its guesses. Raises `BadModel` if skops cannot keep the model.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    description = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=logged.source_run_id,
    )
    try:
        _flavor().save_model(
            fitted.model,
            str(place),
            mlflow_model=description,
            serialization_format="skops",
            skops_trusted_types=trusted,
            signature=_signature(card),
            pip_requirements=requirements(),
            pyfunc_predict_fn="predict_proba" if card.output is Output.PROBABILITY else "predict",
            metadata=metadata_of(card),
        )
    except MlflowException as error:
        raise BadModel(f"{fitted.algorithm} cannot be stored: {error.__cause__ or error}") from error


def types_to_trust(model: Any, name: str, spec: ProductSpec, settings: Settings) -> list[str]:
    """Types inside `model`, fitted or not, that must be trusted by name, all allowed.

    `name` is what people call it. Raises `BadModel` for a model that skops cannot keep and for types that may not be
    trusted.
    """
    import skops.io

    try:
        found = set(skops.io.get_untrusted_types(data=skops.io.dumps(model)))
    except Exception as error:
        raise BadModel(f"{name} cannot be stored: {type(error).__name__}: {error}") from error
    if homeless := sorted(each for each in found if not _can_be_imported(each)):
        raise BadModel(
            f"the model holds {', '.join(homeless)}, which no server can import: write it with `def` or `class` at the "
            "top of a module of yours, and name it under model.trusted_types"
        )
    strangers = sorted(found - {*DEFAULT_TRUSTED_TYPES, *settings.trusted_types, *spec.model.trusted_types})
    if why := next(filter(None, map(refusal, strangers)), ""):
        raise BadModel(f"the model holds a type that may not be trusted: {why}")
    if strangers:
        raise BadModel(
            f"the model holds types that nobody trusts: {', '.join(strangers)}; "
            "if you know them, name them under model.trusted_types"
        )
    return sorted(found)


def _can_be_imported(kind: str) -> bool:
    """Whether a type or function, by its full name, is where a server will look for it."""
    module, _, name = kind.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def _flavor() -> Any:
    """MLflow's scikit-learn flavor; importing it warns of type hints in MLflow itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.pyfunc
        import mlflow.sklearn
    return mlflow.sklearn


def _signature(card: ModelCard) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    types = {FeatureKind.NUMERIC: DataType.double, FeatureKind.CATEGORICAL: DataType.string}
    inputs = Schema([ColSpec(types[each.kind], each.name) for each in card.features])
    if card.output is Output.PROBABILITY:
        return ModelSignature(inputs, Schema([TensorSpec(np.dtype("float64"), (-1, len(card.classes)))]))
    kind = np.asarray(card.classes).dtype if card.classes else np.dtype("float64")
    return ModelSignature(inputs, Schema([TensorSpec(np.dtype("str") if kind.kind == "U" else kind, (-1,))]))
