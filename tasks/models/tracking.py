"""One training is one MLflow run: what went in, what came out, and never a run that seems to go on for ever."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deployments.clock import Clock
from deployments.errors import SeatrialError
from deployments.process_identity import Owner, this_process
from deployments.registry.allowed_artifact_uris import check_destination
from deployments.registry.mlflow_client import artifact_root, connect, translated_errors
from deployments.registry.model_folder import MODEL, VERIFICATION
from deployments.settings import Settings
from tasks.datasets.snapshot import Snapshot
from tasks.secondary_errors import noting_failures

OWNER: Final = "seatrial.owner"
_ERROR: Final = "seatrial.error"
_BATCH: Final = 100
_DIGEST: Final = 12
# Else MLflow's pages show an experiment as one of generative models.
_KIND: Final = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is being written; `client` speaks to the MLflow at `uri`."""

    client: Any
    uri: str
    id: str
    experiment: str


@contextlib.contextmanager
def mlflow_run(product: str, name: str, tags: Mapping[str, str], settings: Settings, clock: Clock) -> Iterator[Run]:
    """A new run of the product's experiment; finished after the block, failed (with the error) if the block raises.

    Raises `RegistryUnreachable` if MLflow does not answer, `DiskFull`, and `BadArtifact` where somebody's own server
    would be sent the files.
    """
    uri = settings.mlflow_uri
    client = connect(uri)
    with translated_errors(uri):
        experiment = _experiment(client, uri, product)
        owned = {**tags, OWNER: str(this_process())}
        started = client.create_run(experiment, start_time=_milliseconds(clock), tags=owned, run_name=name)
    run = Run(client, uri, started.info.run_id, experiment)
    try:
        check_destination(uri, started.info.artifact_uri)
        yield run
    except BaseException as error:
        with noting_failures(error, "closing its run in MLflow"):
            _fail(run, error)
        raise
    with translated_errors(uri):
        client.set_terminated(run.id, "FINISHED", end_time=_milliseconds(clock))


def close_abandoned_runs(product: str, settings: Settings) -> tuple[str, ...]:
    """Ends the runs of a product that still say RUNNING although the process that wrote them is gone; their ids.

    Runs of processes on other hosts are left alone: nothing is known of them here. Safe to repeat.
    """
    client = connect(settings.mlflow_uri)
    with translated_errors(settings.mlflow_uri):
        experiment = client.get_experiment_by_name(product)
        running = _running(client, experiment.experiment_id) if experiment else []
        abandoned = tuple(run.info.run_id for run in running if _is_abandoned(run))
        for run_id in abandoned:
            client.set_tag(run_id, _ERROR, "the process that trained it is gone")
            client.set_terminated(run_id, "KILLED")
    return abandoned


def write_numbers(
    run: Run, params: Mapping[str, str], metrics: Mapping[str, float], model_id: str, clock: Clock
) -> None:
    """Parameters and finite metrics, in as few calls as MLflow takes; the metrics count for the model as well."""
    from mlflow.entities import Metric, Param

    now = _milliseconds(clock)
    measured = [Metric(name, value, now, 0, model_id=model_id, run_id=run.id) for name, value in metrics.items()]
    written = [Param(name, value) for name, value in params.items()]
    with translated_errors(run.uri):
        run.client.log_batch(run.id, metrics=measured, params=written[:_BATCH])
        for start in range(_BATCH, len(written), _BATCH):
            run.client.log_batch(run.id, params=written[start : start + _BATCH])


def write_dataset(run: Run, snapshot: Snapshot) -> None:
    """Which rows the run learned from: MLflow's pages show it beside the run, and pick runs by it."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made_of = json.dumps({"snapshot": snapshot.path.name})
    held = json.dumps({"num_rows": snapshot.rows, "num_columns": len(snapshot.columns)})
    data = Dataset(snapshot.product, snapshot.fingerprint[:_DIGEST], "local", made_of, profile=held)
    with translated_errors(run.uri):
        run.client.log_inputs(run.id, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", "training")])])


def write_files(run: Run, model_id: str, kept: Path, noted: Path) -> None:
    """Uploads the model folder `kept` (model and verification) and the files of `noted` that people read."""
    with translated_errors(run.uri):
        run.client.log_model_artifacts(model_id, str(kept / MODEL))
        run.client.finalize_logged_model(model_id, "READY")
        run.client.log_artifact(run.id, str(kept / VERIFICATION))
        run.client.log_artifacts(run.id, str(noted))


def new_model(run: Run, tags: Mapping[str, str], params: Mapping[str, str]) -> Any:
    """A place for the run's model in MLflow, empty so far; an entity with `model_id` and `artifact_location`."""
    from mlflow.entities import LoggedModelOutput

    with translated_errors(run.uri):
        model = run.client.create_logged_model(
            run.experiment, name=MODEL, source_run_id=run.id, tags=dict(tags), params=dict(params)
        )
        check_destination(run.uri, model.artifact_location)
        run.client.log_outputs(run.id, [LoggedModelOutput(model.model_id, step=0)])
    return model


def _experiment(client: Any, uri: str, product: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(product):
        return str(found.experiment_id)
    root = artifact_root(uri)
    try:
        return str(client.create_experiment(product, f"{root}/{product}" if root else None, tags=_KIND))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get_experiment_by_name(product).experiment_id)


def _fail(run: Run, error: BaseException) -> None:
    # What went wrong is on its way to the caller; that MLflow cannot be told must not hide it.
    with contextlib.suppress(SeatrialError), translated_errors(run.uri):
        run.client.set_tag(run.id, _ERROR, f"{type(error).__name__}: {error}"[:5000])
        run.client.set_terminated(run.id, "FAILED")


def _is_abandoned(run: Any) -> bool:
    try:
        return Owner.parse(run.data.tags.get(OWNER, "")).is_gone()
    except ValueError:
        return False


def _running(client: Any, experiment: str) -> list[Any]:
    found, token = [], None
    while True:
        page = client.search_runs([experiment], "attributes.status = 'RUNNING'", page_token=token)
        found += page
        if not (token := page.token):
            return found


def _milliseconds(clock: Clock) -> int:
    return int(clock.now().timestamp() * 1000)
