"""Fitting the model and recording the run."""

from prefect.cache_policies import NO_CACHE

from deployments.settings import current
from tasks import retry_policies
from tasks.data_validation.report import ValidationReport, to_html
from tasks.datasets.snapshot import Snapshot, load_snapshot, load_texts
from tasks.datasets.split import split_by_time
from tasks.decision_log import record
from tasks.final_states import task
from tasks.models.train import DataFacts, TrainedModel
from tasks.models.train import train as fit_and_record
from tasks.operator_log import tell
from tasks.run_context import Run


@task(name="train", task_run_name="train {run.product}", cache_policy=NO_CACHE, **retry_policies.NETWORK)
def train(run: Run, snapshot: Snapshot, report: ValidationReport) -> TrainedModel:
    """The fitted, stored and recorded model. A repeated call is a new MLflow run; the failed one is marked so."""
    split = split_by_time(load_snapshot(snapshot), run.spec.data)
    page = to_html(report, f"{run.product}: validation of {snapshot.fingerprint[:12]}")
    trained = fit_and_record(run.spec, split, DataFacts(snapshot, page, load_texts(snapshot.path)), current())
    tell(
        "model.trained",
        algorithm=trained.algorithm,
        rows=f"{len(split.training):,}",
        fit=f"{trained.fit_seconds:.1f} s",
        size=f"{trained.size_mb:.2f} MB",
        warnings=len(trained.warnings) or "",
    )
    for warning in trained.warnings:
        tell("model.warning", warning=warning)
    record(run, "model.trained", mlflow_run=trained.run_id, algorithm=trained.algorithm, warnings=trained.warnings)
    return trained
