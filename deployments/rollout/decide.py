"""What comes next in a rollout: pure and total.

`decide` says what to do now, `follow` what a look at the candidate means, `obey` what a person's order means.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from deployments.analysis.evidence import Block
from deployments.analysis.verdict import Nearly, Ruling, Verdict
from deployments.durations import format_duration
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Act, Approve, Observe, Shift, Step, Until, Wait
from deployments.spec import OnDeadline


@dataclass(frozen=True, slots=True)
class Perform:
    """Carry out this step."""

    step: Act


@dataclass(frozen=True, slots=True)
class Watch:
    """Look at the candidate once more."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Every step is done: close the rollout."""


@dataclass(frozen=True, slots=True)
class Restore:
    """Put the champion back, then close the rollout as rolled back."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The rollout is over."""


Action = Perform | Watch | Finish | Restore | Nothing


def decide(state: RolloutState) -> Action:
    """The one action that `state` calls for. Doing it again after a crash does no harm."""
    match state.phase:
        case Phase.RUNNING:
            match state.step:
                case None:
                    return Finish()
                case Observe() | Approve():
                    return Watch()
                case step:
                    return Perform(step)
        case Phase.OBSERVING | Phase.HOLDING | Phase.WAITING | Phase.PAUSED:
            return Watch()
        case Phase.RESTORING:
            return Restore()
        case Phase.DONE | Phase.ROLLED_BACK:
            return Nothing()
        case _:
            assert_never(state.phase)


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen: the verdict over all evidence so far, and the healthy time since the look before.

    `unwatched` is how much of the time since then nobody was there to look: no part of the step's deadline. `bound` is
    the upper bound on the candidate's extra error rate, None if there is none yet or the step does not ask; `compared`
    how many requests (pairs) the version with fewer of them has had. `block` is what was counted since then, None if it
    cannot be trusted. `bare` says why the candidate does not answer those who are sent to it, None while it does or may
    again. `silent`: it answered nothing since the look before, so that nothing moves on by this look.
    """

    verdict: Verdict
    healthy: timedelta
    bound: float | None
    compared: int
    unwatched: timedelta = timedelta(0)
    block: Block | None = None
    bare: str | None = None
    silent: bool = False


def follow(state: RolloutState, look: Look, now: datetime) -> RolloutState:
    """The state after a look. Harm rolls back in every phase that waits; only an observation moves on."""
    if not state.watched:
        return state
    if look.verdict.ruling is Ruling.ROLL_BACK:
        return state.with_phase(Phase.RESTORING, look.verdict.reason, now)
    if look.bare:
        return state.with_phase(Phase.RESTORING, look.bare, now)
    step = state.step
    if state.phase not in {Phase.OBSERVING, Phase.HOLDING} or not isinstance(step, Observe):
        return state
    state = replace(state, entered_at=state.entered_at + look.unwatched)
    if look.verdict.ruling is Ruling.HOLD:
        state = state.with_phase(Phase.HOLDING, look.verdict.reason, now)
    else:
        state = state.with_observed(look.healthy, look.verdict.reason, now)
        if not look.silent and _is_over(step, state, look):
            return state.with_step_done(now, _why_over(step, state, look))
    return _at_deadline(state, look, now)


def _is_over(step: Observe, state: RolloutState, look: Look) -> bool:
    if state.observed < step.time or _is_doubtful(state, look.verdict):
        return False
    proved = look.verdict.ruling is Ruling.PROMOTE
    match step.until:
        case Until.TIME:
            return True
        case Until.PROOF:
            return proved
        case Until.BOUND:
            acceptable = state.section.canary.acceptable_harm
            bounded = look.bound is not None and look.bound * (step.next or 100.0) / 100 <= acceptable
            return proved or bounded
        case Until.SAMPLE:
            return look.compared >= (step.sample or 0)
        case _:
            assert_never(step.until)


def _is_doubtful(state: RolloutState, verdict: Verdict) -> bool:
    """Whether more traffic is to settle first what speaks against the candidate, whatever ends the observation.

    Once the candidate has all traffic no comparison goes on: waiting would settle nothing.
    """
    settles_nothing = verdict.nearly is Nearly.COMPARISON and _has_all_traffic(state)
    return verdict.nearly is not None and not settles_nothing


def _why_over(step: Observe, state: RolloutState, look: Look) -> str:
    if state.split is not None and not state.split.asks(state.candidate):
        return f"the preview was open for {format_duration(step.time)}; nobody was sent to it"
    if step.until is Until.TIME and look.verdict.ruling is not Ruling.PROMOTE:
        return f"no harm was seen in {format_duration(step.time)}"
    return look.verdict.reason


def _at_deadline(state: RolloutState, look: Look, now: datetime) -> RolloutState:
    """What the spec says of an observation without an end. Nothing goes on by itself while nothing is known.

    A candidate that too few users can prove good is not thrown away for that, unless something speaks against it.
    """
    limit = state.section.analysis.deadline
    if now - state.entered_at < limit:
        return state
    reason = f"no decision within {format_duration(limit)} at this step ({state.reason})"
    only_few = look.verdict.few and look.verdict.nearly is None and state.phase is not Phase.HOLDING
    match state.section.analysis.on_deadline:
        case OnDeadline.ASK_IF_FEW if only_few:
            return state.with_phase(Phase.PAUSED, f"{reason}: too few users for a proof, decide by hand", now)
        case OnDeadline.ROLL_BACK | OnDeadline.ASK_IF_FEW:
            return state.with_phase(Phase.RESTORING, reason, now)
        case OnDeadline.PAUSE:
            return state.with_phase(Phase.PAUSED, f"{reason}: decide by hand", now)
        case OnDeadline.PROMOTE if state.phase is Phase.HOLDING or look.silent:
            return state
        case OnDeadline.PROMOTE:
            return state.with_step_done(now, reason)
        case _:
            assert_never(state.section.analysis.on_deadline)


class NotNowError(Exception):
    """The order does not fit the phase; its text says why."""


def obey(
    state: RolloutState, order: Order, finale: tuple[Step, ...], now: datetime, verdict: Verdict | None = None
) -> RolloutState:
    """The state after a person's order; `finale` is the rest of the plan that gives the candidate all traffic.

    What people want goes before doubts of the last `verdict`, which are then part of the reason. Raises `NotNowError`
    where the order means nothing: the rollout then goes on as it is.
    """
    doubt = doubts(order, verdict)
    reason = f"{order}, {doubt}" if doubt else str(order)
    if not state.live or state.phase is Phase.RESTORING:
        raise NotNowError(f"the rollout is {state.phase.value.replace('_', ' ')} already")
    match order.verb:
        case Verb.ABORT:
            return state.with_phase(Phase.RESTORING, str(order), now)
        case Verb.PROMOTE:
            if state.split is None:
                raise NotNowError("the candidate has no traffic yet: wait until it is launched and verified")
            if _has_all_traffic(state):
                raise NotNowError("the candidate has all traffic already: skip what is observed, or resume")
            return state.with_steps(finale, reason, now)
        case Verb.SKIP | Verb.APPROVE:
            return _past_its_wait(state, order, reason, now)
        case Verb.PAUSE:
            return state.with_phase(Phase.PAUSED, str(order), now)
        case Verb.RESUME:
            if state.phase is not Phase.PAUSED:
                raise NotNowError("the rollout is not paused")
            return state.with_resumed(str(order), now)
        case _:
            assert_never(order.verb)


def doubts(order: Order, verdict: Verdict | None) -> str:
    """What spoke against going on when the order to go on came, in words; empty if nothing did."""
    onwards = order.verb in {Verb.PROMOTE, Verb.SKIP, Verb.APPROVE}
    return f"although {verdict.reason}" if onwards and verdict is not None and verdict.nearly else ""


def _has_all_traffic(state: RolloutState) -> bool:
    """Whether no weight is to change any more: then a promotion is all that is left."""
    shifts = any(isinstance(step, Shift) for step in state.steps[state.done :])
    return state.split is not None and not shifts and state.split.weights.of(state.candidate) == 100


def _past_its_wait(state: RolloutState, order: Order, reason: str, now: datetime) -> RolloutState:
    if state.phase is Phase.PAUSED:
        raise NotNowError("the rollout is paused: resume it first")
    if order.verb is Verb.APPROVE and not isinstance(state.step, Approve):
        raise NotNowError("nothing is asked")
    if not isinstance(state.step, Wait):
        raise NotNowError(f"nothing is waited for; the rollout is about to {state.step}")
    return state.with_step_done(now, reason)
