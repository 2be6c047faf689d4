"""The main DAG: its turn → recover → ingest → validate → train → evaluate → register → roll out."""

from contextlib import ExitStack
from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Cancelled

from deployments.clock import SystemClock
from deployments.settings import current
from deployments.strategies.plan import Goal
from flows.parameters import ReleaseRequest, run_name
from flows.rollout import roll_out
from tasks.decision_log import failure_recorded, record_asked
from tasks.evaluation import evaluate
from tasks.final_states import named_end
from tasks.ingestion import ingest
from tasks.registration import register
from tasks.rollout_steps import recover
from tasks.run_context import Result, Run, open_run
from tasks.scheduled_run import SKIPPED, left_out, present_scheduled_run, why_left_out
from tasks.training import train
from tasks.training_turn import training_turn
from tasks.validation import validate


@flow(name="release", flow_run_name=run_name)
@named_end
def release(request: ReleaseRequest) -> Result | State[Any]:
    """Take a product from its data to live traffic.

    A run that a schedule began, and for which a later one stands, ends `Skipped`, and nothing was done.

    Raises `ValidationRefused` or `GateRefused` when a guard says no, `RolloutFailed` when the candidate could not be
    brought to traffic; in every case the champion serves as before.
    """
    scheduled = present_scheduled_run(SystemClock().now())
    run = open_run(
        str(flow_run.id),
        request.product,
        current(),
        window=request.window,
        run_time=scheduled.stands_for if scheduled else None,
        strategy=request.strategy,
        replicas=request.replicas,
    )
    if scheduled and (reason := left_out(run.product, scheduled, run.spec.schedule, SystemClock())):
        return Cancelled(name=SKIPPED, message=reason)
    with training_turn(run.product) as turn:
        if scheduled and (reason := why_left_out(scheduled, run.spec.schedule, SystemClock().now())):
            return Cancelled(name=SKIPPED, message=reason)
        record_asked(run, "release", window=request.window)
        with failure_recorded(run):
            return _release(run, turn)


def _release(run: Run, turn: ExitStack) -> Result:
    recover(run)
    snapshot = ingest(run)
    report = validate(run, snapshot)
    candidate = train(run, snapshot, report)
    evaluation = evaluate(run, snapshot, candidate)
    version = register(run, snapshot, candidate, evaluation)
    turn.close()  # others may train while traffic moves
    return roll_out(run, version, Goal.PROMOTE)
