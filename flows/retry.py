"""Rolls out a version again that was refused, or whose rollout never came to its end; nothing is trained."""

from prefect import flow
from prefect.runtime import flow_run

from deployments.settings import current
from deployments.strategies.plan import Goal
from flows.parameters import RetryRequest, run_name
from flows.rollout import roll_out
from tasks.decision_log import failure_recorded, record_asked
from tasks.final_states import named_end
from tasks.operator_commands import version_to_retry
from tasks.prefect_artifacts import name_run
from tasks.rollout_steps import off_the_air, recover
from tasks.run_context import Result, open_run


@flow(name="retry", flow_run_name=run_name)
@named_end
def retry(request: RetryRequest) -> Result:
    """Bring a registered version to traffic once more, with the evidence that there is on it.

    Raises `NotFound` when there is nothing to retry, `RolloutFailed` when it was given up again; the champion then
    serves as before.
    """
    run = open_run(str(flow_run.id), request.product, current(), strategy=request.strategy)
    record_asked(run, "retry", version=request.version)
    with failure_recorded(run, "retry"):
        if off_the_air(run):
            version_to_retry(run, request.version)
        recover(run)
        chosen = version_to_retry(run, request.version)
        name_run(run, chosen.version, "retry")
        return roll_out(run, chosen.version, Goal.PROMOTE, chosen.carries)
