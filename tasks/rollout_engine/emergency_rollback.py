"""Users first: a candidate's are given back to the former champion before anything is written, asked or cleared up."""

from deployments.errors import SeatrialError
from deployments.rollout.state import RolloutState
from deployments.routers.rollback_routing import Retreat
from deployments.wiring import Doors


def give_back(state: RolloutState, doors: Doors) -> bool:
    """All traffic to the former champion, on the servers that the router knows; whether the router could do that.

    Neither journal nor registry nor target is asked, and nothing is waited for. False where nobody was there before, or
    where servers have to be started first. Safe to repeat.
    """
    if state.former is None or state.former == state.candidate:
        return False
    note = Retreat(state.rollout_id, state.reason, doors.clock.now())
    try:
        doors.router.retreat(state.product, state.former, note)
    except SeatrialError:
        return False
    return True


def given_back(state: RolloutState, doors: Doors) -> str | None:
    """Why the users of this rollout's candidate were given back, which the journal may not know; None: they were not.

    Who did it could not write it down, or died before. The router keeps the reason (see `Router.retreated`).
    """
    note = doors.router.retreated(state.product)
    if note is None or note.rollout_id != state.rollout_id or note.at < state.started_at:
        return None
    return note.reason
