"""Why a rollout ended as it did, in words for people."""

from deployments.errors import RolloutAborted, RolloutFailed, SeatrialError
from deployments.printable import said_by
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from tasks.rollout_engine.cancellation import CANCELLED


def so_far(state: RolloutState, error: Exception, *, users_are_back: bool) -> str:
    """The reason of a rollout on its way back, while something is still left to do of it."""
    return f"{cause_of(state)}{_back(state) if users_are_back else _not_back(state)}{error}"


def cause_of(state: RolloutState) -> str:
    """Why it was given up, without what is still left to do."""
    return state.reason.partition(_back(state))[0].partition(_not_back(state))[0]


def _back(state: RolloutState) -> str:
    return f"; v{state.former} has all traffic again, the rest follows: "


def _not_back(state: RolloutState) -> str:
    return f"; v{state.former} has not all traffic yet: "


def outcome(state: RolloutState) -> RolloutState:
    """The state of a rollout that succeeded; `RolloutFailed` with its reason for one that did not."""
    if state.phase is Phase.DONE:
        return state
    kind = RolloutAborted if _by_a_person(cause_of(state)) else RolloutFailed
    raise kind(
        f"{state.product} v{state.candidate} was not rolled out: {state.reason}. "
        f"{f'v{state.former} serves as before' if state.former else 'Nothing is served, as before'}."
    )


def _by_a_person(reason: str) -> bool:
    """The reason is the text of an order to abort, which names who gave it, or that the run was cancelled."""
    return reason == CANCELLED or reason.startswith(f"{Verb.ABORT} by ")


def not_retired(version: int, error: SeatrialError) -> str:
    """What is told of servers that have no traffic and did not go."""
    return f"v{version} is not retired yet ({error}); the next release or rollback clears it up"


def explain(error: BaseException) -> str:
    """Why a step was given up, in one line for the journal."""
    if isinstance(error, SeatrialError):
        return str(error)
    kind, said = type(error).__name__, said_by(error)
    if not isinstance(error, Exception):
        return f"interrupted ({kind})"
    return kind if said == kind else f"{kind}: {said}"
