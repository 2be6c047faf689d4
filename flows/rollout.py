"""Carries out a plan of steps, one task each; whatever goes wrong, the champion is put back.

A rollout that waits between its steps is a subflow with a page of its own; the journal knows how far it is, so that
any process may carry it on after a crash.
"""

from collections.abc import Callable

from prefect import flow

from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Approve, Observe
from deployments.strategies.plan import Goal
from flows.requests import RolloutRequest, rollout_name
from tasks.product import Result, Run
from tasks.rollout import abandon, begin_rollout, is_carried_here, next_step, result_of, resume, take_step


def roll_out(run: Run, version: int, goal: Goal, carries: str | None = None) -> Result:
    """Bring `version` to traffic by the spec's strategy. Raises `RolloutFailed` with the reason if that failed."""

    def carry() -> Result:
        state = begin_rollout(run, version, goal, carries)
        if any(isinstance(step, Observe | Approve) for step in state.steps):
            return rollout(RolloutRequest(product=run.product, rollout_id=state.rollout_id))
        return result_of(_to_its_end(state))

    return _or_put_back(run.product, run.run_id, carry).since(run.started_at)


@flow(flow_run_name=rollout_name)
def rollout(request: RolloutRequest) -> Result:
    """Shift, wait, judge, again; then promote or put the champion back. Goes on where the journal says it was.

    Raises `Busy` while another process carries the rollout, `RolloutFailed` with the reason when it was given up.
    """
    product, rollout_id = request.product, request.rollout_id
    return _or_put_back(product, rollout_id, lambda: result_of(_to_its_end(resume(product, rollout_id))))


def _or_put_back(product: str, rollout_id: str, carry: Callable[[], Result]) -> Result:
    """What `carry` returns. Whatever interrupts it, even before its first step, the champion is put back."""
    try:
        return carry()
    except Exception as error:
        if not is_carried_here(product, rollout_id):
            raise
        return result_of(_to_its_end(abandon(product, rollout_id, error)))
    except BaseException as interruption:
        if is_carried_here(product, rollout_id):
            _to_its_end(abandon(product, rollout_id, interruption))
        raise


def _to_its_end(state: RolloutState) -> RolloutState:
    while state.live:
        state = take_step.with_options(task_run_name=next_step(state))(state)
    return state
