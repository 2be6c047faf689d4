"""A registry as an attacker has it: MLflow's own client, versions of his own, seals that he changed."""

import cProfile
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from deployments.model_manifest import manifest_of
from deployments.registry import ModelRegistry, ModelVersion
from deployments.registry.mlflow_client import connect
from deployments.registry.model_version import SEAL
from deployments.registry.version_seal import Sealer, read_seal
from deployments.settings import Settings
from tests.model_folder import description_of, store
from tests.unit.deployments.registry.test_mlflow_registry import facts, stored

LISTED = ["cProfile.run", "functools.partial"]


class Mlflow:
    """A registry of two versions that Seatrial registered, and MLflow's own client: what an attacker has."""

    def __init__(self, settings: Settings, made: tuple[ModelVersion, ...] = ()) -> None:
        self.settings = settings
        self.client = connect(self.settings.mlflow_uri)
        self.registry = self.opened()
        self.made = made or (self.registered("first"), self.registered("second"))

    def opened(self, noted: Callable[[str, int], str | None] = lambda _product, _version: None) -> ModelRegistry:
        """The registry as a new process sees it."""
        return ModelRegistry(self.settings.mlflow_uri, self.settings.keys_folder, noted)

    def raw(self, version: int) -> Any:
        """MLflow's own entity."""
        return self.client.get_model_version("flights", str(version))

    def tag(self, version: int, name: str, value: str) -> None:
        """Writes a tag of ours."""
        self.client.set_model_version_tag("flights", str(version), f"seatrial.{name}", value)

    def files(self, version: int) -> Path:
        """Where the store has a version's model."""
        return Path(self.raw(version).source.removeprefix("file://"))

    def registered(self, content: str) -> ModelVersion:
        """One more version."""
        run, uri, manifest = stored(self.settings, content)
        return self.registry.register("flights", run, uri, facts(manifest))


def evil(folder: Path, marker: Path) -> Path:
    """A model folder that makes the file `marker` when it is asked, whole and with a manifest of its own."""
    runs = functools.partial(cProfile.run, f"open({str(marker)!r}, 'w').close()")
    pipeline = Pipeline([("step", FunctionTransformer(runs))])
    return store(folder, pipeline, description_of("flights", "regression", "prediction", None), [])


def planted(mlflow: Mlflow, folder: Path, **tags: str) -> int:
    """A version of the attacker's own: all the tags of the newest one, but its own files, manifest and types."""
    run = mlflow.client.create_run(mlflow.client.get_experiment_by_name("flights").experiment_id).info.run_id
    mlflow.client.log_artifact(run, str(folder / "verification.json"))
    copied = dict(mlflow.raw(2).tags)
    own = {"seatrial.manifest": json.dumps(manifest_of(folder)), "seatrial.trusted_types": json.dumps(LISTED)}
    told = copied | own | {f"seatrial.{name}": value for name, value in tags.items()}
    made = mlflow.client.create_model_version("flights", (folder / "model").as_uri(), run_id=run, tags=told)
    return int(made.version)


def edited(mlflow: Mlflow, **changes: Any) -> str:
    """The seal of v1 with some of its envelope changed."""
    return json.dumps(json.loads(mlflow.raw(1).tags[SEAL]) | changes)


def payload_of(mlflow: Mlflow, what: str) -> str:
    import base64

    document = json.loads(read_seal(mlflow.raw(1).tags[SEAL]).payload)
    if what == "types":
        document["predicate"]["trusted_types"] = LISTED
    else:
        document["subject"][0]["name"] = "../../keys/manifests"
    return base64.b64encode(json.dumps(document).encode()).decode()


def sealed_elsewhere(mlflow: Mlflow) -> str:
    statement = read_seal(mlflow.raw(1).tags[SEAL]).statement
    return Sealer(mlflow.settings.home / "somebody").seal(statement)
