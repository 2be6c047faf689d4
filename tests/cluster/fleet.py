"""Model versions in a real registry, trained in a moment: equal ones, and one that fails under traffic."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import skops.io

from deployments.model_manifest import manifest_of
from deployments.registry import ModelRegistry, VersionFacts
from deployments.registry.mlflow_client import connect
from deployments.registry.model_folder import size_of
from deployments.settings import Settings
from deployments.targets.protocol import Launch
from deployments.trusted_types import DEFAULT_TRUSTED_TYPES
from tests.model_folder import ROWS, description_of, frame_of, store, write_model_folder

# A distance at which a broken version overflows; its verification rows are all nearer.
FAR = 1e6


class Fleet:
    """Registers versions of products, one after the other."""

    def __init__(self, settings: Settings, folder: Path, artifacts: Path) -> None:
        """`artifacts` is where the registry's server keeps files."""
        self.settings, self._folder, self._artifacts = settings, folder, artifacts
        self._models: dict[tuple[str, int], str] = {}
        self.registry = ModelRegistry(settings.mlflow_uri, settings.keys_folder)

    def add(self, product: str, *, broken: bool = False) -> int:
        """The next version; a broken one answers 500 to requests with a `FAR` distance."""
        folder = self.folder_of(product, len(self.registry.versions(product)) + 1)
        write_model_folder(folder, product=product)
        if broken:
            write_broken(folder, product)
        return self._registered(product, folder)

    def launch(self, product: str, version: int, replicas: int = 1) -> Launch:
        """As a rollout says it to a target: with the digest of what is sealed, without which no pod serves it."""
        known = self.registry.model(product, version, self.settings.models)
        size = size_of(known.folder)
        return Launch(product, version, known.folder, replicas, known.trusted, digest=known.digest, size=size)

    def folder_of(self, product: str, version: int) -> Path:
        """What was stored, without its manifest."""
        return self._folder / product / f"{version}"

    def spoil(self, product: str, version: int) -> None:
        """Somebody changes the model's file where the registry keeps it."""
        self._stored(product, version).write_bytes(b"changed")

    def mend(self, product: str, version: int) -> None:
        """The file is as it was."""
        kept = self.folder_of(product, version) / "model" / "model.skops"
        self._stored(product, version).write_bytes(kept.read_bytes())

    def _stored(self, product: str, version: int) -> Path:
        [found] = self._artifacts.glob(f"*/models/{self._models[product, version]}/artifacts/model.skops")
        return found

    def _registered(self, product: str, folder: Path) -> int:
        client = connect(self.settings.mlflow_uri)
        found = client.get_experiment_by_name(product)
        experiment = found.experiment_id if found else client.create_experiment(product)
        run = client.create_run(experiment).info.run_id
        model = client.create_logged_model(experiment, name="model", source_run_id=run).model_id
        client.log_model_artifacts(model, str(folder / "model"))
        client.log_artifact(run, str(folder / "verification.json"))
        (folder / "manifest.json").unlink()
        facts = VersionFacts(
            created_at=datetime.now(UTC),
            model_type="classification",
            algorithm="sklearn.linear_model.LogisticRegression",
            hyperparameters={},
            data_fingerprint="0" * 64,
            metrics={"roc_auc": 0.7},
            size_mb=size_of(folder) / 1e6,
            manifest=manifest_of(folder),
            spec_digest="0" * 64,
        )
        version = self.registry.register(product, run, f"models:/{model}", facts).version
        self._models[product, version] = model
        return version


def write_broken(folder: Path, product: str) -> None:
    """The same model, but a far distance becomes infinite on its way through the scaler."""
    pipeline = skops.io.load(folder / "model" / "model.skops", trusted=DEFAULT_TRUSTED_TYPES)
    model = pipeline.named_steps["model"]
    scaler = pipeline.named_steps["features"].named_transformers_["numeric"].named_steps["scale"]
    scaler.scale_ = np.array([1e-303, scaler.scale_[1]])
    model.coef_[0, 0] = 0.0
    answers = pipeline.predict_proba(frame_of(ROWS)).tolist()
    shutil.rmtree(folder)
    store(folder, pipeline, description_of(product, "classification", "probability", model.classes_.tolist()), answers)
