"""The main DAG: recover → ingest → validate → train → evaluate → register → roll out."""

from prefect import flow
from prefect.runtime import flow_run

from deployments.settings import current
from deployments.strategies.plan import Goal
from flows.parameters import ReleaseRequest, run_name
from flows.rollout import roll_out
from tasks.decision_log import failure_recorded, record_asked
from tasks.evaluation import evaluate
from tasks.ingestion import ingest
from tasks.registration import register
from tasks.rollout_steps import recover
from tasks.run_context import Result, Run, open_run
from tasks.training import train
from tasks.validation import validate


@flow(name="release", flow_run_name=run_name)
def release(request: ReleaseRequest) -> Result:
    """Take a product from its data to live traffic.

    Raises `ValidationRefused` or `GateRefused` when a guard says no, `RolloutFailed` when the candidate could not be
    brought to traffic; in every case the champion serves as before.
    """
    run = open_run(
        str(flow_run.id),
        request.product,
        current(),
        window=request.window,
        strategy=request.strategy,
        replicas=request.replicas,
    )
    record_asked(run, "release", window=request.window)
    with failure_recorded(run):
        return _release(run)


def _release(run: Run) -> Result:
    recover(run)
    snapshot = ingest(run)
    report = validate(run, snapshot)
    candidate = train(run, snapshot, report)
    evaluation = evaluate(run, snapshot, candidate)
    version = register(run, snapshot, candidate, evaluation)
    return roll_out(run, version, Goal.PROMOTE)
