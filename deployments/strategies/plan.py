"""From a strategy to a plan: a list of steps that a person can read before anything moves."""

from enum import StrEnum
from typing import assert_never

from deployments.errors import BadInput
from deployments.rollout.steps import Launch, Promote, Reinstate, Retire, Shift, Step, Verify
from deployments.spec import Strategy
from deployments.traffic import Weights


class Goal(StrEnum):
    """Why a version is to get the traffic."""

    PROMOTE = "promote"  # it is new, and good enough
    REINSTATE = "reinstate"  # it was champion before, and the present one is not wanted any more


def plan(strategy: Strategy, goal: Goal, candidate: int, running: tuple[int, ...], replicas: int) -> tuple[Step, ...]:
    """The steps from `running` (versions with servers now, the candidate possibly among them) to `candidate` alone.

    Raises `BadInput` for a strategy that this release of Seatrial cannot carry out.
    """
    match strategy:
        case Strategy.ROLLING:
            return _rolling(goal, candidate, running, replicas)
        case Strategy.BLUE_GREEN | Strategy.CANARY | Strategy.AB | Strategy.SHADOW:
            raise BadInput(
                f"strategy {strategy.value!r} is not available yet: use {Strategy.ROLLING.value!r} (nothing was moved)"
            )
        case _:
            assert_never(strategy)


def _rolling(goal: Goal, candidate: int, running: tuple[int, ...], replicas: int) -> tuple[Step, ...]:
    retired = tuple(Retire(version) for version in running if version != candidate)
    return (
        Launch(candidate, replicas),
        Verify(candidate),
        Shift(Weights.all_to(candidate)),
        Promote(candidate) if goal is Goal.PROMOTE else Reinstate(candidate),
        *retired,
    )
