"""A rollout state to start from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import (
    Approve,
    Conclude,
    Dismiss,
    Launch,
    Observe,
    Promote,
    Reinstate,
    Retire,
    Shift,
    Step,
    Until,
    Verify,
)
from deployments.spec import RolloutSection
from deployments.traffic import Match, Mirror, StickyKey, Weights

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPLIT = Shift(Weights({1: 75, 2: 25}), (Match(2, "b", cookie="group"),), None, StickyKey(header="x-user"))
STEPS: tuple[Step, ...] = (
    Launch(2, 3),
    Verify(2),
    SPLIT,
    Observe(Until.TIME, timedelta(minutes=1)),
    Approve("go on?"),
    Shift(Weights.all_to(2)),
    Observe(Until.PROOF, timedelta(0)),
    Promote(2),
    Retire(1),
)
EVERY_KIND: tuple[Step, ...] = (
    *STEPS,
    Shift(Weights.all_to(1), mirror=Mirror(2, 12.5)),
    Observe(Until.BOUND, timedelta(0), next=10.0),
    Observe(Until.SAMPLE, timedelta(0), sample=100),
    Conclude(2, winner_only=True),
    Reinstate(1),
    Dismiss(2),
)


def rollout(phase: Phase = Phase.RUNNING, done: int = 0, **changes: Any) -> RolloutState:
    """v2 beside v1, `done` steps of a plan that has every kind of wait."""
    state = RolloutState("r1", "flights", 2, 1, "canary", RolloutSection(), STEPS, done, phase, "", NOW, NOW, NOW)
    return replace(state, **changes)
