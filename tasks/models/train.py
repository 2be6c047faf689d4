"""Training from rows to a recorded, stored and checksummed model."""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployments.clock import Clock, SystemClock
from deployments.model_manifest import manifest_of
from deployments.redaction import masked
from deployments.registry.mlflow_client import translated_errors
from deployments.registry.model_folder import MODEL, VERIFICATION, size_mb
from deployments.registry.model_version import VersionFacts
from deployments.settings import Settings
from tasks.datasets.snapshot import Snapshot
from tasks.datasets.split import Split
from tasks.gate.scoring import Scores, score
from tasks.models.fitting import Fitted, fit
from tasks.models.golden_rows import HeldOut, verification_sample
from tasks.models.mlmodel_metadata import ModelCard
from tasks.models.model_files import types_to_trust, write_model
from tasks.models.predictions import classes_of, predict_rows, unknown_shares
from tasks.models.provenance import commit_of, versions
from tasks.models.run_parameters import run_parameters
from tasks.models.tracking import Run, mlflow_run, new_model, write_dataset, write_files, write_numbers
from tasks.product_spec import ProductSpec

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model that is stored in MLflow and not registered yet.

    `model_uri` is `models:/<model id>`, `size_mb` the real size of its files in units of 10^6 bytes, `manifest` their
    SHA-256 by path in the model folder, `fit_seconds` the time inside `fit`; `warnings` are what the libraries said.
    """

    run_id: str
    model_uri: str
    algorithm: str
    hyperparameters: Mapping[str, str]
    size_mb: float
    manifest: Mapping[str, str] = field(repr=False)
    fit_seconds: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What the run says of its data.

    `report` is the validation's HTML page, None if there is none; `texts` are the features of all rows as their source
    wrote them, None if it was typed.
    """

    snapshot: Snapshot
    report: str | None = None
    texts: "pd.DataFrame | None" = None


def train(
    spec: ProductSpec, split: Split, data: DataFacts, settings: Settings, clock: Clock | None = None
) -> TrainedModel:
    """Fits the model of `spec` on the training rows and records everything in one MLflow run.

    Each call is a new run; one that fails is marked FAILED with the error. Raises `BadModel` for whatever the estimator
    raises, for too much memory and for NaN answers; `BadData`, `RegistryUnreachable` and `DiskFull` as they are.
    """
    job = _Job(spec, split, data, settings, clock or SystemClock())
    with mlflow_run(spec.product, _run_name(job), _tags(job), settings, job.clock) as run:
        fitted = fit(spec, split.training, settings, job.clock)
        answers = predict_rows(fitted.model, split.evaluation, fitted.features, spec.data.target, spec.model.task)
        return _log(run, job, fitted, score(spec.model.task, answers))


def version_facts(
    trained: TrainedModel, spec: ProductSpec, snapshot: Snapshot, scores: Scores, at: datetime
) -> VersionFacts:
    """What the registry is told of a trained model that passed the gate with `scores`."""
    return VersionFacts(
        created_at=at,
        model_type=spec.model.task.value,
        algorithm=trained.algorithm,
        hyperparameters=trained.hyperparameters,
        data_fingerprint=snapshot.fingerprint,
        metrics=scores.values,
        size_mb=trained.size_mb,
        manifest=trained.manifest,
        spec_digest=spec_digest(spec),
        trusted_types=spec.model.trusted_types,
    )


def spec_digest(spec: ProductSpec) -> str:
    """SHA-256 of the spec's content; the same for two files that say the same."""
    document = json.dumps(spec.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(document.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Job:
    """What one call of `train` was given."""

    spec: ProductSpec
    split: Split
    data: DataFacts
    settings: Settings
    clock: Clock


def _log(run: Run, job: _Job, fitted: Fitted, scores: Scores) -> TrainedModel:
    """Writes everything below a scratch folder, takes the checksums there, and uploads it."""
    params = _params(job.spec, fitted)
    logged = new_model(run, {"seatrial.product": job.spec.product}, params)
    with tempfile.TemporaryDirectory(prefix="seatrial-train-") as scratch, translated_errors(run.uri):
        kept, noted = Path(scratch) / "kept", Path(scratch) / "noted"
        _write_kept(kept, job, fitted, logged)
        _write_noted(noted, job, fitted)
        write_numbers(run, params, _metrics(job, fitted, scores), logged.model_id, job.clock)
        write_dataset(run, job.data.snapshot)
        write_files(run, logged.model_id, kept, noted)
        return TrainedModel(
            run_id=run.id,
            model_uri=f"models:/{logged.model_id}",
            algorithm=fitted.algorithm,
            hyperparameters=fitted.hyperparameters,
            size_mb=size_mb(kept),
            manifest=manifest_of(kept),
            fit_seconds=fitted.seconds,
            warnings=fitted.warnings,
        )


def _write_kept(place: Path, job: _Job, fitted: Fitted, logged: Any) -> None:
    spec, model = job.spec, job.spec.model
    place.mkdir()
    classes = classes_of(fitted.model, model.task)
    unknown = unknown_shares(fitted.model, job.split.evaluation, fitted.features)
    card = ModelCard(spec.product, model.task, model.output, classes, fitted.features, unknown)
    write_model(place / MODEL, fitted, card, logged, types_to_trust(fitted.model, fitted.algorithm, spec, job.settings))
    held_out = HeldOut(job.split.evaluation, job.data.texts)
    sample = verification_sample(fitted.model, held_out, fitted.features, model.output, spec.rollout.verify_rows)
    (place / VERIFICATION).write_bytes(sample)


def _write_noted(place: Path, job: _Job, fitted: Fitted) -> None:
    place.mkdir()
    (place / "spec.json").write_text(_without_secrets(job.spec).model_dump_json(indent=2), encoding="utf-8")
    if job.data.report is not None:
        (place / "validation.html").write_text(job.data.report, encoding="utf-8")
    if fitted.warnings:
        (place / "warnings.txt").write_text("\n".join(fitted.warnings), encoding="utf-8")


def _without_secrets(spec: ProductSpec) -> ProductSpec:
    """The spec as everybody who sees MLflow's pages may read it."""
    source = spec.data.source
    shown = source.model_copy(update={"url": masked(source.url) if source.url else None})
    return spec.model_copy(update={"data": spec.data.model_copy(update={"source": shown})})


def _run_name(job: _Job) -> str:
    """Until it has a version: the product, and when it was trained."""
    return f"{job.spec.product}, trained {job.clock.now():%Y-%m-%d %H:%M:%S} UTC"


def _tags(job: _Job) -> dict[str, str]:
    commit = commit_of(job.settings.project)
    code = {"git_commit": commit.id, "git_dirty": str(commit.dirty).lower()} if commit else {}
    about = {
        "product": job.spec.product,
        "data_fingerprint": job.data.snapshot.fingerprint,
        "spec_digest": spec_digest(job.spec),
        **code,
        **{f"version.{name}": found for name, found in versions().items()},
    }
    shown = {"mlflow.source.git.commit": commit.id} if commit else {}
    return {f"seatrial.{name}": value for name, value in about.items()} | shown


def _params(spec: ProductSpec, fitted: Fitted) -> dict[str, str]:
    preprocessing = dict(_flattened("preprocessing", spec.preprocessing.model_dump(mode="json")))
    estimator = {f"model.{name}": value for name, value in fitted.hyperparameters.items()}
    return run_parameters({"algorithm": fitted.algorithm, "seed": str(spec.model.seed), **estimator, **preprocessing})


def _flattened(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flattened(f"{name}.{key}", inner)
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _metrics(job: _Job, fitted: Fitted, scores: Scores) -> dict[str, float]:
    rows = {"training_rows": len(job.split.training), "evaluation_rows": len(job.split.evaluation)}
    known = {name: value for name, value in scores.values.items() if not math.isnan(value)}
    return {**known, **rows, "fit_seconds": fitted.seconds}
