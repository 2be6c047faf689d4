"""Where the rollouts are that this process carries, by its own memory: the journal may be slow to say, or away."""

from deployments.rollout.state import RolloutState

_NEWEST: dict[str, RolloutState] = {}


def remember_state(state: RolloutState) -> RolloutState:
    """Remember `state` as the newest of its rollout, and return it."""
    _NEWEST[state.rollout_id] = state
    return state


def remembered_state(rollout_id: str) -> RolloutState | None:
    """The newest state of a rollout that this process has carried; None for any other one.

    Somebody else may have carried it on since: what is written by it carries the token of the last lease, and is
    refused then.
    """
    return _NEWEST.get(rollout_id)
