"""Giving a rollout up: from then on it only puts the champion back."""

from contextlib import suppress
from dataclasses import replace

from deployments.rollout.state import Phase, RolloutState
from deployments.wiring import Doors
from tasks.rollout_engine.emergency_rollback import give_back
from tasks.rollout_engine.history import note
from tasks.rollout_engine.journal_outage import JournalAwayError, raising_when_away
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.reasons import explain


def give_up(state: RolloutState, reason: str, doors: Doors) -> RolloutState:
    """From here on the rollout only puts the champion back. A rollout that is over is returned as it is.

    Users are given back first. Where the journal does not take the decision it is returned all the same: whoever
    carries the rollout on with that state writes it down (see `Carrier.advance`). Raises `Busy` for another's rollout.
    """
    if not state.live or state.phase is Phase.RESTORING:
        return state
    state = state.with_phase(Phase.RESTORING, reason, doors.clock.now())
    give_back(state, doors)
    doors = replace(doors, journal=raising_when_away(doors.journal))
    with suppress(JournalAwayError):
        doors.journal.save(state, hold(state.product, doors))
        note(state, "rollout.given_up", doors)
    return state


def give_up_for(error: BaseException, state: RolloutState, doors: Doors) -> RolloutState:
    """`give_up` because of `error`. Where only clearing up is left a failure changes nothing: it is tried again."""
    if state.decided and isinstance(error, Exception):
        return state
    return give_up(state, explain(error), doors)
