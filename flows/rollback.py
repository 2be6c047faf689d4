"""Puts a former champion back."""

from dataclasses import replace

from prefect import flow
from prefect.runtime import flow_run

from deployments.settings import current
from deployments.spec import Second, Strategy
from deployments.strategies.plan import Goal
from flows.parameters import RollbackRequest, run_name
from flows.rollout import roll_out
from tasks.decision_log import failure_recorded, record, record_asked
from tasks.final_states import named_end
from tasks.operator_commands import end_under_way
from tasks.prefect_artifacts import name_run
from tasks.rollout_steps import close_runs_left_open, former_version, off_the_air, recover
from tasks.run_context import Result, open_run


@flow(name="rollback", flow_run_name=run_name)
@named_end
def rollback(request: RollbackRequest) -> Result:
    """Bring the champion before the present one, or the version that was asked for, back to all traffic.

    It does so at once, whatever the spec's strategy: nothing is watched or asked on the way back. A rollout that is
    under way, or queued, is ended first; without a version that is all, and the champion serves on. Raises `NotFound`
    when there is nothing to go back to, `RolloutFailed` when its servers did not come up; the present champion
    then serves as before.
    """
    run = open_run(str(flow_run.id), request.product, current(), strategy=Strategy.ROLLING, second=Second.SUPERSEDE)
    record_asked(run, "rollback", version=request.version)
    with failure_recorded(run, "rollback"):
        ended = end_under_way(run, "rollback")
        if ended is None and off_the_air(run):
            former_version(run, request.version)
        seen = recover(run, going_back=True)
        if ended is not None and request.version in {None, ended.version}:
            ended = replace(ended, outcome=f"{ended.outcome}; {seen}") if seen else ended
            record(run, "rollback.done", reason=ended.outcome)
            return ended
        version = former_version(run, request.version)
        name_run(run, version, "rollback")
        result = roll_out(run, version, Goal.REINSTATE)
        close_runs_left_open(run)
        return result
