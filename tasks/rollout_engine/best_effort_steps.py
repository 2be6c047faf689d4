"""Steps that could not be done, and without which a rollout goes on all the same."""

from deployments.errors import DiskFull, RegistryUnreachable, SeatrialError
from deployments.rollout.state import RolloutState
from deployments.rollout.steps import Act, Reinstate, Retire
from deployments.wiring import Doors
from tasks.rollout_engine.history import note
from tasks.rollout_engine.reasons import not_retired
from tasks.rollout_engine.step_actions import unregistered_warning


def skip_step(step: Act, state: RolloutState, error: SeatrialError, doors: Doors) -> RolloutState:
    """The state after `step`, which ended with `error`; that is raised where the step is needed."""
    if isinstance(step, Retire):
        return _left_behind(step, state, error, doors)
    if isinstance(step, Reinstate) and isinstance(error, RegistryUnreachable | DiskFull):
        return _untold(step, state, error, doors)
    raise error


def _left_behind(step: Retire, state: RolloutState, error: SeatrialError, doors: Doors) -> RolloutState:
    """Servers without traffic harm nobody; they are cleared up before the next release or rollback."""
    after = _after(state, not_retired(step.version, error), doors)
    note(after, "rollout.left_behind", doors, step=str(step), version=step.version)
    return after


def _untold(step: Reinstate, state: RolloutState, error: SeatrialError, doors: Doors) -> RolloutState:
    """Who was rolled back stays so: that the registry cannot be told of it leads nobody to that version again."""
    untold = unregistered_warning(step.version, error)
    after = _after(state, untold, doors)
    note(after, "step.done", doors, step=str(step), seen=untold)
    return after


def _after(state: RolloutState, left: str, doors: Doors) -> RolloutState:
    return state.with_step_done(doors.clock.now(), f"{state.reason}; {left}" if state.reason else left)
