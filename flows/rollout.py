"""Carries out a plan of steps, one task each; whatever goes wrong, the champion is put back."""

from deployments.rollout.state import RolloutState
from deployments.strategies.plan import Goal
from tasks.product import Result, Run
from tasks.rollout import begin_rollout, give_up, next_step, result_of, take_step


def roll_out(run: Run, version: int, goal: Goal) -> Result:
    """Bring `version` to all traffic. Raises `RolloutFailed` with the reason when that could not be done."""
    state = begin_rollout(run, version, goal)
    try:
        state = _to_its_end(run, state)
    except Exception as error:  # noqa: BLE001 - whatever broke is the reason why the rollout is given up
        state = _to_its_end(run, give_up(state, error))
    except BaseException as interruption:
        _to_its_end(run, give_up(state, interruption))
        raise
    return result_of(run, state)


def _to_its_end(run: Run, state: RolloutState) -> RolloutState:
    while state.live:
        state = take_step.with_options(task_run_name=next_step(state))(run, state)
    return state
