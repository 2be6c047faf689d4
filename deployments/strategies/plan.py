"""From a strategy to a plan: a list of steps that a person can read before anything moves."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

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
from deployments.spec import MatchRule, Pace, RolloutSection, Strategy
from deployments.traffic import Match, Mirror, StickyKey, Weights


class Goal(StrEnum):
    """Why a version is to get the traffic."""

    PROMOTE = "promote"  # it is new, and good enough
    REINSTATE = "reinstate"  # it was champion before, and the present one is not wanted any more


@dataclass(frozen=True, slots=True)
class Change:
    """What a plan is for: `candidate` beside or instead of `champion` (None: nobody serves yet).

    `running` are the versions that have servers now, the candidate possibly among them.
    """

    goal: Goal
    candidate: int
    champion: int | None
    running: tuple[int, ...]


def plan(strategy: Strategy, change: Change, section: RolloutSection) -> tuple[Step, ...]:
    """The steps that `strategy` takes.

    Without a champion there is nothing to compare with: the candidate then gets all traffic at once, by every strategy.
    """
    start = (Launch(change.candidate, section.replicas), Verify(change.candidate))
    if change.champion is None or change.champion == change.candidate:
        return (*start, *_switch(change, section, timedelta(0)))
    match strategy:
        case Strategy.ROLLING:
            return (*start, *_rolling(change, change.champion, section), *_switch(change, section, timedelta(0)))
        case Strategy.BLUE_GREEN:
            return (*start, *_blue_green(change, change.champion, section), *finale(change, section))
        case Strategy.CANARY:
            return (*start, *_canary(change, change.champion, section), *finale(change, section))
        case Strategy.AB:
            return (*start, *_ab(change, change.champion, section))
        case Strategy.SHADOW:
            return (*start, *_shadow(change, change.champion, section))
        case _:
            assert_never(strategy)


def goal_of(steps: tuple[Step, ...]) -> Goal:
    """What the plan with these steps is for."""
    return Goal.REINSTATE if any(isinstance(step, Reinstate) for step in steps) else Goal.PROMOTE


def finale(change: Change, section: RolloutSection) -> tuple[Step, ...]:
    """All traffic to the candidate, with the former champion warm until the bake ends."""
    return _switch(change, section, section.bake)


def _switch(change: Change, section: RolloutSection, bake: timedelta) -> tuple[Step, ...]:
    baking = (Observe(Until.TIME, bake),) if bake else ()
    crowned = Promote if change.goal is Goal.PROMOTE else Reinstate
    retired = tuple(Retire(version) for version in change.running if version != change.candidate)
    return (Shift(Weights.all_to(change.candidate), key=_key(section)), *baking, crowned(change.candidate), *retired)


def _rolling(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    """One share of the traffic for each server that takes over, none of them waited for."""
    shares = (round(100 * count / section.replicas, 2) for count in range(1, section.replicas))
    return tuple(_split(change.candidate, champion, share, section) for share in shares if 0 < share < 100)


def _blue_green(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    """Nobody meets the candidate yet but who asks at its preview address."""
    switch = section.blue_green
    checked = (Observe(Until.TIME, switch.preview),) if switch.preview else ()
    asked = (Approve(f"give all traffic to v{change.candidate}?"),) if switch.approve else ()
    return (_split(change.candidate, champion, 0, section), *checked, *asked)


def _canary(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    canary = section.canary
    following = [step.weight for step in canary.steps[1:]] + [100.0]
    steps: list[Step] = []
    for step, weight_after in zip(canary.steps, following, strict=True):
        time = step.wait or canary.wait
        steps.append(_split(change.candidate, champion, step.weight, section))
        if weight_after == 100:
            steps.append(Observe(Until.PROOF, time if canary.pace is Pace.CLOCK else timedelta(0)))
        elif canary.pace is Pace.EVIDENCE:
            steps.append(Observe(Until.BOUND, step.wait or timedelta(0), next=weight_after))
        else:
            steps.append(Observe(Until.TIME, time))
        if step.approve:
            steps.append(Approve(f"raise v{change.candidate} from {step.weight:g} % to {weight_after:g} %?"))
    return tuple(steps)


def _ab(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    ab = section.ab
    matches = (_match(change.candidate, ab.match),) if ab.match else ()
    weights = Weights({champion: _rest(ab.share), change.candidate: ab.share})
    return (
        Shift(weights, matches, key=_key(section)),
        Observe(Until.SAMPLE, timedelta(0), sample=ab.sample),
        Conclude(change.candidate, winner_only=ab.then == "promote"),
        *(finale(change, section) if ab.then == "promote" else _back(change, champion, section)),
    )


def _shadow(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    shadow = section.shadow
    return (
        Shift(Weights.all_to(champion), mirror=Mirror(change.candidate, shadow.share), key=_key(section)),
        Observe(Until.SAMPLE, timedelta(0), sample=shadow.sample),
        Conclude(change.candidate, winner_only=False),
        *_back(change, champion, section),
    )


def _back(change: Change, champion: int, section: RolloutSection) -> tuple[Step, ...]:
    """The comparison is over: the champion serves alone, as before."""
    return (
        Shift(Weights.all_to(champion), key=_key(section)),
        Dismiss(change.candidate),
        Retire(change.candidate),
    )


def _split(candidate: int, champion: int, share: float, section: RolloutSection) -> Shift:
    return Shift(Weights({champion: _rest(share), candidate: share}), key=_key(section))


def _rest(share: float) -> float:
    return round(100 - share, 2)


def _key(section: RolloutSection) -> StickyKey:
    return StickyKey(header=section.key.header, cookie=section.key.cookie)


def _match(version: int, rule: MatchRule) -> Match:
    return Match(version, rule.value, header=rule.header, cookie=rule.cookie)
