"""Why a model server went, or where its start is, as far as its log tells."""

import json
from dataclasses import dataclass
from pathlib import Path

# What `deployments.serving` logs last when its model must not be served; trying again cannot help then.
REFUSAL = "refused to serve"
# What it logs whenever a stage of its start begins.
_STARTING = "starting"

_TAIL_BYTES = 16_384
_LONGEST = 400


@dataclass(frozen=True, slots=True)
class LastWords:
    """The newest complaint of a log, empty if there is none; `final` when the server itself gave up on its model."""

    text: str
    final: bool


def last_words_in(log: Path) -> LastWords:
    """What a server said last in its log file."""
    return last_words(_tail_of(log))


def last_words(tail: str) -> LastWords:
    """The error of the last JSON line that has one, or a later line that is no JSON: the end of a traceback."""
    lines = list(filter(None, map(str.strip, tail.splitlines())))
    for age, line in enumerate(reversed(lines)):
        event = _event_of(line)
        if event is None:
            return LastWords(line[:_LONGEST], final=False)
        if event.get("error"):
            return LastWords(str(event["error"])[:_LONGEST], final=age == 0 and event.get("event") == REFUSAL)
    return LastWords("", final=False)


def stage_in(log: Path) -> str:
    """What a server that starts is at, by its log file; empty if it does not say so, or has started."""
    return stage(_tail_of(log))


def stage(tail: str) -> str:
    """The same of the end of a log."""
    events = filter(None, map(_event_of, reversed(tail.splitlines())))
    newest = next(events, {})
    if newest.get("event") != _STARTING:
        return ""
    begun, size = newest.get("seconds"), newest.get("model_mb")
    return f"{newest.get('stage')}, of {size} MB, begun {begun} s after its start"[:_LONGEST]


def _tail_of(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _event_of(line: str) -> dict[str, object] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
