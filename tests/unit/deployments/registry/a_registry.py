"""Versions in a real MLflow on SQLite, and clients of it that die."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from deployments.model_manifest import manifest_of
from deployments.registry import ModelRegistry, ModelVersion, VersionFacts
from deployments.registry.mlflow_client import connect
from deployments.settings import Settings

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TUESDAY = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


class Killed(BaseException):
    """What a kill looks like from inside."""


class DyingClient:
    """An MLflow client whose process dies just before the call number `calls`."""

    def __init__(self, client: Any, calls: int) -> None:
        self._client, self._left = client, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            if self._left == 0:
                raise Killed
            self._left -= 1
            return method(*arguments, **keywords)

        return call


def stored(settings: Settings, content: str = "weights") -> tuple[str, str, dict[str, str]]:
    """A run with a model folder in MLflow: run id, model URI, manifest."""
    client = connect(settings.mlflow_uri)
    folder = settings.home / "work" / content
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "model.skops").write_text(content)
    (folder / "model" / "MLmodel").write_text("a model")
    (folder / "verification.json").write_text("{}")
    found = client.get_experiment_by_name("flights")
    place = (settings.home / "mlflow" / "artifacts" / "flights").as_uri()
    experiment = found.experiment_id if found else client.create_experiment("flights", artifact_location=place)
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(experiment, name="model", source_run_id=run).model_id
    client.log_model_artifacts(model, str(folder / "model"))
    client.log_artifact(run, str(folder / "verification.json"))
    return run, f"models:/{model}", manifest_of(folder)


def facts(manifest: dict[str, str]) -> VersionFacts:
    return VersionFacts(
        created_at=MONDAY,
        model_type="classification",
        algorithm="sklearn.linear_model._logistic.LogisticRegression",
        hyperparameters={"C": "1.0", "penalty": "l2"},
        data_fingerprint="ab" * 32,
        metrics={"roc_auc": 0.71, "precision": float("nan")},
        size_mb=1.25,
        manifest=manifest,
        spec_digest="cd" * 32,
    )


def registered(registry: ModelRegistry, settings: Settings, content: str = "weights") -> ModelVersion:
    run, uri, manifest = stored(settings, content)
    return registry.register("flights", run, uri, facts(manifest))
