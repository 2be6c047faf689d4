"""What a rollout waits for, since when, until when, and which orders end it: pure, from its state alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, assert_never

from deployments.durations import in_words
from deployments.plurals import counted
from deployments.rollout.decide import NotNowError, obey
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Launch, Observe, Retire, Until
from deployments.spec import OnDeadline

# In the order in which they are offered: first what only goes on, last what ends everything.
_ENDING: Final = (Verb.APPROVE, Verb.RESUME, Verb.SKIP, Verb.PROMOTE, Verb.ABORT)
_AT_DEADLINE: Final = MappingProxyType(
    {
        OnDeadline.ASK_IF_FEW: "it is rolled back, or paused if too few users came for any proof",
        OnDeadline.ROLL_BACK: "it is rolled back",
        OnDeadline.PAUSE: "it is paused",
        OnDeadline.PROMOTE: "it goes on to the next step",
    }
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One wait of a rollout, in words that go on from "waits for".

    `until` is when it ends by itself, and `then` what happens then; None where it never does, and `then` says so. Each
    of `orders` can be given now, and ends it.
    """

    product: str
    what: str
    since: datetime
    until: datetime | None
    then: str
    orders: tuple[Verb, ...]

    @property
    def commands(self) -> tuple[str, ...]:
        """What a person may type to end the wait; empty where nobody can."""
        return tuple(f"seatrial {order} {self.product}" for order in self.orders)

    def ends(self, now: datetime) -> str:
        """When it ends by itself, and what happens then."""
        if self.until is None:
            return self.then
        left = self.until - now
        if left <= timedelta(0):
            return f"any moment {self.then}"
        return f"if that lasts until {self.until:%m-%d %H:%M:%S} UTC (in {in_words(left)}), {self.then}"

    def sentence(self, now: datetime) -> str:
        """All of it, for people."""
        by = " or ".join(f"`{command}`" for command in self.commands)
        ended = f"; {by} ends that" if by else ""
        return f"waits for {self.what}, for {in_words(now - self.since)} now; {self.ends(now)}{ended}"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "for": self.what,
            "since": self.since,
            "until": self.until,
            "then": self.then,
            "commands": list(self.commands),
        }


def waiting(state: RolloutState) -> Waiting | None:
    """What the rollout waits for now; None once it is over."""
    if not state.live:
        return None
    until, then = _end(state)
    return Waiting(state.product, _what(state), state.phase_since or state.entered_at, until, then, _orders(state))


def _what(state: RolloutState) -> str:
    match state.phase:
        case Phase.RESTORING:
            return f"v{state.former} to have all traffic again" if state.former else "what was begun to be cleared away"
        case Phase.PAUSED:
            return f"a person to resume it ({state.reason})"
        case Phase.HOLDING:
            return f"something to judge v{state.candidate} by ({state.reason})"
        case _:
            return _of_step(state)


def _of_step(state: RolloutState) -> str:
    match state.step:
        case Observe() as step:
            return _observed(step, state)
        case Approve(question):
            return f"a person's answer: {question}"
        case Launch(version, replicas):
            return f"{counted(replicas, 'server')} of v{version} to get ready"
        case Retire(version):
            return f"v{version} to give its last answers and go"
        case step:
            return f"this to be done: {step or 'finish'}"


def _observed(step: Observe, state: RolloutState) -> str:
    left = step.time - state.observed
    time = f"{in_words(left)} more of healthy time" if left > timedelta(0) else ""
    match step.until:
        case Until.TIME:
            rest = ""
        case Until.BOUND:
            rest = f"v{state.candidate} to be known to do no harm at {step.next:g} %"
        case Until.PROOF:
            rest = f"proof that v{state.candidate} is not worse"
        case Until.SAMPLE:
            rest = f"{step.sample or 0:,} answers of each version to be compared"
        case _:
            assert_never(step.until)
    return " and ".join(part for part in (time, rest) if part) or "the next look"


def _end(state: RolloutState) -> tuple[datetime | None, str]:
    if isinstance(state.step, Launch) and state.phase is Phase.RUNNING:
        return state.entered_at + state.section.ready_timeout, "it is given up"
    if not isinstance(state.step, Observe) or state.phase not in {Phase.OBSERVING, Phase.HOLDING}:
        asked = state.phase in {Phase.WAITING, Phase.PAUSED}
        return None, "it has no deadline" if asked else "it ends by itself"
    rules = state.section.analysis
    if rules.on_deadline is OnDeadline.PROMOTE and state.phase is Phase.HOLDING:
        return None, "nothing goes on by itself while nothing is known"
    held = rules.on_deadline is OnDeadline.ASK_IF_FEW and state.phase is Phase.HOLDING
    return state.entered_at + rules.deadline, _AT_DEADLINE[OnDeadline.ROLL_BACK if held else rules.on_deadline]


def _orders(state: RolloutState) -> tuple[Verb, ...]:
    """Those that the rollout would take; `skip` is not offered beside the word for the same thing."""
    taken = [verb for verb in _ENDING if takes(state, verb)]
    return tuple(verb for verb in taken if verb is not Verb.SKIP or Verb.APPROVE not in taken)


def takes(state: RolloutState, verb: Verb) -> bool:
    """Whether the order means something to the rollout as it is now."""
    try:
        obey(state, Order(0, state.rollout_id, verb, "", "", state.updated_at), (), state.updated_at)
    except NotNowError:
        return False
    return True
