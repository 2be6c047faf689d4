"""Rollouts whose every wait is short, carried as flows/rollout.py does it, without Prefect."""

from datetime import timedelta
from typing import Final

from benchmarks.load import PRODUCT
from benchmarks.stage import Stage
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    MatchRule,
    RolloutSection,
    ShadowSection,
    Strategy,
)
from deployments.strategies.plan import Goal
from tasks.rollout_engine.abandonment import give_up
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.reasons import explain
from tasks.rollout_engine.takeover import Wish, begin

_SECOND: Final = timedelta(seconds=1)
SECTION: Final = RolloutSection(
    replicas=2,
    bake=_SECOND,
    drain_timeout=10 * _SECOND,
    canary=CanarySection(steps=(CanaryStep(weight=5), CanaryStep(weight=25), CanaryStep(weight=50)), wait=_SECOND),
    blue_green=BlueGreenSection(preview=_SECOND),
    ab=ABSection(share=50, match=MatchRule(header="x-group", value="beta"), sample=1000),
    shadow=ShadowSection(share=50, sample=1000),
    analysis=AnalysisSection(interval=_SECOND / 2, deadline=60 * _SECOND),
)


def promotion(on: Stage, strategy: Strategy, section: RolloutSection = SECTION) -> Wish:
    """Bring a new version to traffic."""
    version = on.new_version()
    return Wish(f"v{version}", PRODUCT, version, section, strategy, Goal.PROMOTE)


def reinstatement(on: Stage) -> Wish:
    """Bring the former champion back."""
    former = on.registry.previous(PRODUCT)
    assert former is not None
    return Wish(f"back to v{former.version}", PRODUCT, former.version, SECTION, Strategy.ROLLING, Goal.REINSTATE)


def carry(on: Stage, wish: Wish) -> RolloutState:
    """The rollout at its end; whatever goes wrong, the champion is put back."""
    state = begin(wish, on.doors)
    carrier = Carrier(on.doors)
    while state.live:
        try:
            state = carrier.advance(state)
        except Exception as error:
            if state.phase is Phase.RESTORING:
                raise
            state = give_up(on.journal.rollout(PRODUCT, wish.rollout_id), explain(error), on.doors)
    return state
