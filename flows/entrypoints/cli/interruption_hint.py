"""What became of a command that ended before its time, and what to do now: the journal knows."""

from datetime import datetime

from deployments import wiring
from deployments.errors import SeatrialError
from deployments.rollout.state import Phase, RolloutState

_AS_BEFORE = "interrupted: traffic is as before (`seatrial status` shows it)"


def after_interruption(product: str, since: datetime) -> str:
    """For a command that began at `since`, and whose process is about to end."""
    try:
        state, ended = _begun(product, since), _ended(product, since)
    except SeatrialError as error:
        return f"interrupted: `seatrial status` shows the traffic ({error})"
    if state is None:
        return f"interrupted: the rollout of v{ended.candidate} has ended ({ended.reason})" if ended else _AS_BEFORE
    if state.live:
        return f"interrupted while the rollout of v{state.candidate} is not over: {_carried_on(state)}"
    return f"interrupted when all was done: {state.reason}" if state.phase is Phase.DONE else _AS_BEFORE


def after_kill(product: str, since: datetime) -> str:
    """For a command that began at `since`, and whose process is gone."""
    try:
        state = _begun(product, since)
    except SeatrialError as error:
        return f"the process of this command was killed: `seatrial status` shows the traffic ({error})"
    if state is None:
        return "the process of this command was killed before it moved any traffic: run it again"
    if state.live:
        return f"the process of this command was killed: {_carried_on(state)}"
    return f"the process of this command was killed when its rollout was over: {state.reason}"


def _begun(product: str, since: datetime) -> RolloutState | None:
    """The rollout that the command began; None: it did not come so far."""
    return next((state for state in wiring.journal().rollouts(product) if state.started_at >= since), None)


def _ended(product: str, since: datetime) -> RolloutState | None:
    """A rollout that was under way when the command began, and is no more."""
    known = wiring.journal().rollouts(product)
    return next((state for state in known if not state.live and state.started_at < since <= state.updated_at), None)


def _carried_on(state: RolloutState) -> str:
    product = state.product
    return (
        f"the platform carries it on within a minute, after `seatrial down` with the next `seatrial up`; "
        f"`seatrial explain {product}` shows how it goes, `seatrial abort {product}` ends it"
    )
