"""Carries out a plan of steps, one task each; whatever goes wrong, the champion is put back.

A rollout that waits between its steps is a subflow with a page of its own; the journal knows how far it is, so that
any process may carry it on after a crash.
"""

from collections.abc import Callable
from contextlib import nullcontext

from prefect import flow

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Wait
from deployments.strategies.plan import Goal
from flows.parameters import RolloutRequest, rollout_name
from tasks.final_states import named_end
from tasks.operator_log import tell
from tasks.prefect_runs import is_of_prefect, run_is_gone
from tasks.rollout_engine.local_rollouts import remembered_state
from tasks.rollout_steps import (
    abandon,
    begin_rollout,
    carry_on_without_prefect,
    ended_rollout,
    next_step,
    result_of,
    resume_rollout,
    take_step,
)
from tasks.run_context import Result, Run
from tasks.secondary_errors import failing_instead
from tasks.signals import PRESENT


def roll_out(run: Run, version: int, goal: Goal, carries: str | None = None) -> Result:
    """Bring `version` to traffic by the spec's strategy. Raises `RolloutFailed` with the reason if that failed."""

    def carry() -> Result:
        state = begin_rollout(run, version, goal, carries)
        if any(isinstance(step, Wait) for step in state.steps):
            return rollout(RolloutRequest(product=run.product, rollout_id=state.rollout_id))
        return result_of(_to_its_end(state))

    return _or_put_back(run.product, run.run_id, carry).since(run.started_at)


@flow(flow_run_name=rollout_name)
@named_end
def rollout(request: RolloutRequest) -> Result:
    """Shift, wait, judge, again; then promote or put the champion back. Goes on where the journal says it was.

    Raises `Busy` while another process carries the rollout, `RolloutFailed` with the reason when it was given up.
    """
    product, rollout_id = request.product, request.rollout_id
    return _or_put_back(product, rollout_id, lambda: result_of(_to_its_end(resume_rollout(product, rollout_id))))


def carry_without_prefect(product: str, rollout_id: str) -> Result:
    """What `rollout` does, while Prefect can begin no run: its pages show nothing, but users are looked after."""

    def carry() -> Result:
        return result_of(carry_on_without_prefect(resume_rollout.fn(product, rollout_id)))

    return _or_put_back(product, rollout_id, carry, without_prefect=True)


def _or_put_back(product: str, rollout_id: str, carry: Callable[[], Result], without_prefect: bool = False) -> Result:
    """What `carry` returns. Whatever interrupts it, even before its first step, the champion is put back.

    Users are back before Prefect is asked for anything; without it the rest is done all the same. A Ctrl-C while that
    is done waits for its end; one more leaves the rollout to the platform, as after a crash.
    """
    with PRESENT.kept():
        try:
            return carry()
        except BaseException as error:
            cause = PRESENT.cause(error)
            known = remembered_state(rollout_id) if cause is error and run_is_gone(error) else None
            if known is not None and not without_prefect:
                return _without_its_run(known)
            if not PRESENT.insisted:
                with PRESENT.held(), failing_instead(cause, "putting the champion back"):
                    state = abandon(product, rollout_id, cause)
                    if state is not None:
                        state = _put_back(state, without_prefect or is_of_prefect(error))
                    elif is_of_prefect(error):  # it may have come to its end, though Prefect could not be told
                        state = ended_rollout(product, rollout_id)
                if state is not None and isinstance(cause, Exception):
                    return result_of(state)
            if cause is error:
                raise
            raise cause from error


def _without_its_run(state: RolloutState) -> Result:
    """The rollout goes on to its end although somebody deleted its run on Prefect's pages: that is no order to end."""
    tell("run.deleted", product=state.product, seen="the rollout goes on without a run in Prefect")
    product, rollout_id = state.product, state.rollout_id
    return _or_put_back(product, rollout_id, lambda: result_of(carry_on_without_prefect(state)), without_prefect=True)


def _put_back(state: RolloutState, without_prefect: bool) -> RolloutState:
    if without_prefect:
        return carry_on_without_prefect(state)
    try:
        return _to_its_end(state)
    except Exception as error:
        if not is_of_prefect(error):
            raise
    return carry_on_without_prefect(remembered_state(state.rollout_id) or state)


def _to_its_end(state: RolloutState) -> RolloutState:
    while state.live:
        PRESENT.check()
        with PRESENT.held() if state.phase is Phase.RESTORING else nullcontext():
            state = take_step.with_options(task_run_name=next_step(state))(state)
    return state
