"""A fitted model from training rows, within the limits of the settings; nothing is stored here."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deployments.clock import Clock
from deployments.errors import BadModel, SeatrialError
from deployments.settings import Settings
from tasks.execution.fit_location import parallel_backend, within_cores
from tasks.models.cell_redaction import hide_cells, without_cells
from tasks.models.class_weight import name_classes_in_weights
from tasks.models.estimator import build_estimator
from tasks.models.features import Feature, as_held, features_in, select_features, target_values
from tasks.models.pipeline import build_pipeline
from tasks.models.resource_limits import resource_limits
from tasks.product_spec import Backend, ProductSpec

if TYPE_CHECKING:
    import pandas as pd

_LONGEST_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Fitted:
    """A fitted Pipeline and how it came about; `warnings` are what the libraries said meanwhile, each once."""

    model: Any
    features: tuple[Feature, ...]
    algorithm: str
    hyperparameters: dict[str, str]
    seconds: float
    warnings: tuple[str, ...]


def fit(spec: ProductSpec, training: "pd.DataFrame", settings: Settings, clock: Clock) -> Fitted:
    """Fits preprocessing and estimator of `spec` on `training`. The same rows, spec and machine give the same model.

    Raises `BadData` for rows that cannot be read as the spec says, `BadModel` for whatever the estimator raises, and
    `PlatformUnreachable` for a cluster that does not answer or is lost.
    """
    settings = within_cores(spec.execution, settings)
    features = as_held(features_in(spec.preprocessing, spec.data), training)
    rows = select_features(training, features)
    target = target_values(training, spec.data.target, spec.model.task)
    estimator = build_estimator(spec.model, settings, fitted_here=spec.execution.backend is Backend.LOCAL)
    name_classes_in_weights(estimator, target)
    hyperparameters = _hyperparameters(estimator)
    pipeline = build_pipeline(spec.preprocessing, estimator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        with parallel_backend(spec.execution, clock):
            started = clock.monotonic()
            _fit_within(pipeline, rows, target, settings)
            seconds = clock.monotonic() - started
    heard = dict.fromkeys(f"{each.category.__name__}: {each.message}" for each in caught)
    said = tuple(without_cells(each, rows, target) for each in heard)
    _serve_on_one_core(pipeline)
    return Fitted(pipeline, features, _name_of(estimator), hyperparameters, seconds, said)


def _fit_within(pipeline: Any, rows: "pd.DataFrame", target: Any, settings: Settings) -> None:
    try:
        with resource_limits(settings.training_jobs, settings.training_memory_mb):
            pipeline.fit(rows, target)
    except SeatrialError:
        raise
    except Exception as error:
        hide_cells(error, rows, target)
        reason = f"{type(error).__name__}: {error}"
        raise BadModel(f"training raised {reason}; check model.parameters and the data") from error


def _hyperparameters(estimator: Any) -> dict[str, str]:
    return {name: _shown(value) for name, value in sorted(estimator.get_params(deep=True).items())}


def _shown(value: Any) -> str:
    """People read these, and the registry keeps them in one tag; the whole value is in the run's spec."""
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _serve_on_one_core(pipeline: Any) -> None:
    """A server answers many requests at once: threads within one of them only cost time."""
    jobs = {name: None for name, value in pipeline.get_params(deep=True).items() if name.endswith("n_jobs") and value}
    pipeline.set_params(**jobs)


def _name_of(estimator: Any) -> str:
    return f"{type(estimator).__module__}.{type(estimator).__qualname__}"
