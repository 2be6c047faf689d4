"""Where a rollout is, as JSON."""

from typing import Any

from deployments.rollout.state import RolloutState
from deployments.rollout.wait_conditions import waiting


def state_report(state: RolloutState) -> dict[str, Any]:
    """Where a rollout is, as JSON; `step` counts from 1, and is null once it is over."""
    return {
        "product": state.product,
        "rollout": state.rollout_id,
        "candidate": state.candidate,
        "champion": state.former,
        "strategy": state.strategy,
        "phase": state.phase.value,
        "step": state.done + 1 if state.live and state.step else None,
        "of": len(state.steps),
        "doing": str(state.step or "finish") if state.live else None,
        "reason": state.reason,
        "waiting": found.document() if (found := waiting(state)) else None,
        "observed_seconds": state.observed.total_seconds(),
        "started_at": state.started_at,
        "updated_at": state.updated_at,
    }


def where(state: RolloutState) -> str:
    """Phase, step and reason in one line."""
    phase = state.phase.value.replace("_", " ")
    step = f", step {state.done + 1} of {len(state.steps)}: {state.step}" if state.live and state.step else ""
    return f"{phase}{step}{f' ({state.reason})' if state.reason else ''}"
