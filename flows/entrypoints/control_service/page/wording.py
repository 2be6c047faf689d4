"""Plain words for what the journal says: phases, health, events."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from deployments.journals.protocol import Event
from deployments.plurals import counted
from deployments.rollout.state import Phase
from deployments.rollout.steps import Approve, Conclude, Launch, Observe, Promote, Reinstate, Retire, Shift, Step, Verify

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


def step_in_words(step: Step) -> str:
    """A step for people, as a sentence without a full stop."""
    match step:
        case Launch(version, replicas):
            return f"Start {counted(replicas, 'server')} of v{version}"
        case Verify(version):
            return f"Check that v{version} answers as in training"
        case Shift():
            return f"Send {step.weights}" if not step.matches and not step.mirror else str(step).capitalize()
        case Observe():
            return str(step).capitalize()
        case Approve(question):
            return f"Ask a person: {question}"
        case Conclude(version, _):
            return f"Report how v{version} compares"
        case Promote(version):
            return f"Make v{version} the champion"
        case Reinstate(version):
            return f"Make v{version} champion again"
        case Retire(version):
            return f"Let v{version} give its last answers and go"
        case _:
            return str(step).capitalize()


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
    detail = event.detail
    match event.kind:
        case "rollout.started":
            return f"v{detail.get('candidate')}: {counted(len(detail.get('steps') or ()), 'step')} planned"
        case "rollout.judged":
            return f"{str(detail.get('ruling', '')).capitalize()}: {detail.get('why', '')}"
        case "data.ingested":
            return f"{_number(detail.get('rows'))} rows, {detail.get('window', '')}".strip(", ")
        case "gate.passed" | "gate.refused":
            return f"against {detail.get('against', 'nothing')}: {_plain(detail.get('scores'))}"
        case "model.registered":
            return f"v{detail.get('version')}"
    if event.kind.startswith("order."):
        return ", ".join(str(detail[name]) for name in ("who", "said", "why") if detail.get(name))
    told = [str(detail[name]) for name in ("who", "step", "seen", "algorithm", "reason") if detail.get(name)]
    return ": ".join(dict.fromkeys(told)) if told else _plain(detail.get("version") and f"v{detail['version']}")


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(each) for each in value)
    return "" if value is None else str(value)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "some"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
