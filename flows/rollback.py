"""Puts a former champion back."""

from prefect import flow
from prefect.runtime import flow_run

from deployments.settings import current
from deployments.strategies.plan import Goal
from flows.requests import RollbackRequest, run_name
from flows.rollout import roll_out
from tasks.artifacts import name_run
from tasks.product import Result, open_run
from tasks.recording import record, record_failure
from tasks.rollout import former_version, recover


@flow(name="rollback", flow_run_name=run_name)
def rollback(request: RollbackRequest) -> Result:
    """Bring the champion before the present one, or the version that was asked for, back to all traffic.

    Raises `NotFound` when there is nothing to go back to, `RolloutFailed` when its servers did not come up; the present
    champion then serves as before.
    """
    run = open_run(str(flow_run.id), request.product, current())
    record(run, "rollback.asked", version=request.version)
    try:
        recover(run)
        version = former_version(run, request.version)
        name_run(run, version, "rollback")
        return roll_out(run, version, Goal.REINSTATE)
    except BaseException as error:
        record_failure(run, error, "rollback")
        raise
