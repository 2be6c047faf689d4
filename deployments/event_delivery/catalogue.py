"""The events that there are: which line of the journal makes which, and what each holds.

`docs/events.md` describes them; a test compares the two.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from math import isfinite
from typing import Any, Final

from deployments.journals.protocol import Event, Recorded

PREFIX: Final = "io.seatrial."
PHASE_CHANGED: Final = f"{PREFIX}rollout.phase_changed"
JUDGED: Final = f"{PREFIX}rollout.judged"
OBEYED: Final = f"{PREFIX}order.obeyed"
DECLINED: Final = f"{PREFIX}order.declined"
GATE_REFUSED: Final = f"{PREFIX}gate.refused"
RUN_REFUSED: Final = f"{PREFIX}run.refused"
RUN_FAILED: Final = f"{PREFIX}run.failed"
WEBHOOK_REFUSED: Final = f"{PREFIX}webhook.refused"
# The fields of `data`, beside `product` and `run`, which stand in each.
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    PHASE_CHANGED: ("candidate", "phase", "former_phase", "reason"),
    JUDGED: ("candidate", "phase", "ruling", "why", "findings"),
    OBEYED: ("candidate", "phase", "verb", "who", "said", "why"),
    DECLINED: ("candidate", "phase", "who", "said", "why"),
    GATE_REFUSED: ("against", "scores", "champion_scores"),
    RUN_REFUSED: ("doing", "reason"),
    RUN_FAILED: ("doing", "reason"),
    WEBHOOK_REFUSED: ("who", "reason"),
}
_RUNS: Final = ("release", "retry", "rollback")
_KINDS: Final[Mapping[str, str]] = {
    "rollout.judged": JUDGED,
    "order.declined": DECLINED,
    "gate.refused": GATE_REFUSED,
    "webhook.refused": WEBHOOK_REFUSED,
    **{f"{doing}.refused": RUN_REFUSED for doing in _RUNS},
    **{f"{doing}.{how}": RUN_FAILED for doing in _RUNS for how in ("failed", "interrupted")},
    "run.interrupted": RUN_FAILED,
}
_IDS: Final = uuid.UUID("6d3a9d3a-8c54-4f0e-9d53-3f5f0f2f7a14")
# The phase of a rollout before, by its id; None for a new one. It is told of a change.
FormerPhase = Callable[[str, str], str | None]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One event as others are told of it. `id` is the same however often it is made."""

    id: str
    type: str
    product: str
    run: str
    at: datetime
    data: Mapping[str, Any]


def mark_of(recorded: Recorded) -> str:
    """A UUID of this line alone, also beside those of a journal that was put in the place of another one."""
    event = recorded.event
    identity = (recorded.key, event.product, event.run, event.at.isoformat(), event.kind)
    return str(uuid.uuid5(_IDS, "\0".join(identity)))


def occurrences(recorded: Recorded, former_phase: FormerPhase) -> tuple[Occurrence, ...]:
    """What a line of the journal tells others: nothing, one event, or a change of phase before it.

    `former_phase(run, phase)` is what the rollout's phase was when it was asked last, None: never.
    """
    event = recorded.event
    made = []
    phase = event.detail.get("phase")
    if isinstance(phase, str) and (former := former_phase(event.run, phase)) != phase:
        made.append(_occurrence(recorded, PHASE_CHANGED, {"former_phase": former}))
    if (kind := _type_of(event)) is not None:
        doing, _, word = event.kind.partition(".")
        made.append(_occurrence(recorded, kind, {"doing": doing, "verb": word}))
    return tuple(made)


def matches(pattern: str, kind: str) -> bool:
    """Whether a subscription to `pattern`, a type or a part of one with `*`, is one to `kind`."""
    return fnmatchcase(kind, pattern)


def _type_of(event: Event) -> str | None:
    if event.kind.startswith("order.") and event.kind not in _KINDS:
        return OBEYED
    return _KINDS.get(event.kind)


def _occurrence(recorded: Recorded, kind: str, derived: Mapping[str, Any]) -> Occurrence:
    event = recorded.event
    facts = {**event.detail, **derived}
    data = {"product": event.product, "run": event.run} | {name: _sayable(facts.get(name)) for name in FIELDS[kind]}
    made = str(uuid.uuid5(_IDS, f"{mark_of(recorded)} {kind}"))
    return Occurrence(made, kind, event.product, event.run, event.at, data)


def _sayable(value: Any) -> Any:
    """JSON has no word for NaN and infinity: null."""
    match value:
        case dict():
            return {name: _sayable(each) for name, each in value.items()}
        case list() | tuple():
            return [_sayable(each) for each in value]
        case float() if not isfinite(value):
            return None
    return value
