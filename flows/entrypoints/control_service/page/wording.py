"""Plain words for what the journal says: phases, health, events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deployments.journals.protocol import Event
from deployments.plurals import counted
from deployments.rollout.state import Phase
from deployments.rollout.steps import (
    Launch,
    Promote,
    Reinstate,
    Retire,
    Shift,
    Step,
    Verify,
)

# What each health is called, and the tone that it is shown in.
HEALTH: Final[Mapping[str, tuple[str, str]]] = {
    "serving": ("Serving", "good"),
    "under way": ("Rolling out", "busy"),
    "asks": ("Waits for a person", "ask"),
    "holding": ("Holding", "hold"),
    "going back": ("Going back", "bad"),
    "off the air": ("Off the air", "off"),
    "gateway away": ("Gateway does not answer", "bad"),
    "never served": ("Never served", "off"),
    "never released": ("Never released", "off"),
}
PHASES: Final[Mapping[Phase, tuple[str, str]]] = {
    Phase.RUNNING: ("At work", "busy"),
    Phase.OBSERVING: ("Watched under traffic", "busy"),
    Phase.HOLDING: ("Holding: nothing to judge by", "hold"),
    Phase.WAITING: ("Asks a person", "ask"),
    Phase.PAUSED: ("Paused by a person", "ask"),
    Phase.RESTORING: ("Going back to the champion", "bad"),
    Phase.DONE: ("Done", "good"),
    Phase.ROLLED_BACK: ("Rolled back", "off"),
}
_EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "release.asked": ("Release asked for", ""),
    "retry.asked": ("Retry asked for", ""),
    "rollback.asked": ("Rollback asked for", ""),
    "release.ordered": ("Release ordered", "ask"),
    "retry.ordered": ("Retry ordered", "ask"),
    "rollback.ordered": ("Rollback ordered", "ask"),
    "rollback.done": ("Rolled back", "good"),
    "data.ingested": ("Data read", ""),
    "data.validated": ("Data validated", "good"),
    "model.trained": ("Model trained", ""),
    "model.registered": ("Version registered", ""),
    "gate.passed": ("Gate passed", "good"),
    "gate.refused": ("Gate refused", "bad"),
    "rollout.started": ("Rollout began", "busy"),
    "rollout.judged": ("Evidence judged", ""),
    "rollout.done": ("Rollout done", "good"),
    "rollout.rolled_back": ("Rolled back", "bad"),
    "rollout.restoring": ("Going back", "bad"),
    "order.declined": ("Order declined", "hold"),
    "run.interrupted": ("Run interrupted", "bad"),
}
_ENDS: Final[Mapping[str, tuple[str, str]]] = {
    "refused": ("refused", "bad"),
    "failed": ("failed", "bad"),
    "interrupted": ("interrupted", "bad"),
}
# What stands in the history for whoever looks for a defect.
HIDDEN: Final = frozenset({"step.intended"})
_FACTS: Final = ("who", "said", "step", "seen", "algorithm", "reason")
_OF_ORDERS: Final = ("who", "said", "why")
_LONGEST: Final = 600
_TICKED: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Line:
    """One event for people: what happened, its facts in a sentence, and its tone."""

    at: datetime
    title: str
    told: str
    tone: str
    run: str


def line_of(event: Event) -> Line:
    """The event in words; a kind that this page does not know is told by its name."""
    title, tone = _title(event)
    return Line(event.at, title, _cut(_told(event)), tone, event.run)


def pieces(text: str) -> list[tuple[bool, str]]:
    """A text with `commands` in it, in pieces, each with whether it is one."""
    return [(bool(number % 2), piece) for number, piece in enumerate(_TICKED.split(text)) if piece]


def e_value(value: float) -> str:
    """An e-value as people read it."""
    return f"{value:.3g}" if value < 100 or value >= 1e7 else f"{value:,.0f}"


def step_in_words(step: Step) -> str:
    """A step for people, as a sentence without a full stop."""
    told = str(step)
    match step:
        case Launch(version, replicas):
            told = f"{counted(replicas, 'server')} for v{version}"
        case Verify(version):
            told = f"v{version} answers sample rows as in training"
        case Shift(weights, matches, mirror) if not matches and mirror is None:
            told = f"traffic is split: {weights}"
        case Promote(version):
            told = f"The champion is v{version}"
        case Reinstate(version):
            told = f"The champion is v{version} again"
        case Retire(version):
            told = f"v{version} gives its last answers and goes"
    return told if told[1:2].isdigit() else f"{told[:1].upper()}{told[1:]}"


def _title(event: Event) -> tuple[str, str]:
    if event.kind in _EVENTS:
        return _EVENTS[event.kind]
    what, _, end = event.kind.partition(".")
    if what == "order":
        return f"Order: {end.replace('_', ' ')}", "ask"
    if end in _ENDS:
        word, tone = _ENDS[end]
        return f"{what.capitalize()} {word}", tone
    if event.kind == "step.done":
        return "Step done", ""
    return f"{what} {end.replace('_', ' ')}".strip().capitalize(), ""


def _told(event: Event) -> str:
    detail, told = event.detail, ""
    match event.kind:
        case "rollout.started":
            told = f"v{detail.get('candidate')}: {counted(len(detail.get('steps') or ()), 'step')} planned"
        case "rollout.judged":
            told = f"{str(detail.get('ruling', '')).capitalize()}: {detail.get('why', '')}"
        case "data.ingested":
            told = ", ".join(part for part in (_rows(detail.get("rows")), str(detail.get("window", ""))) if part)
        case "gate.passed" | "gate.refused":
            told = f"against {detail.get('against') or 'nothing'}: {_plain(detail.get('scores'))}"
        case "model.registered":
            told = f"v{detail.get('version')}"
    names = _OF_ORDERS if event.kind.startswith("order.") else _FACTS
    return told or ", ".join(dict.fromkeys(str(detail[name]) for name in names if detail.get(name)))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return "" if value is None else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rows(value: Any) -> str:
    return counted(value, "row") if isinstance(value, int) else ""


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
