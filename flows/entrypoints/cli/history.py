"""What `history` says for people: one line an event."""

from collections.abc import Iterator
from typing import Any

from flows.entrypoints import console

_DETAILS = {"step.intended"}
_SHOWN = (
    "window",
    "rows",
    "fingerprint",
    "checks",
    "warnings",
    "algorithm",
    "against",
    "scores",
    "champion_scores",
    "version",
    "candidate",
    "image",
    "digest",
    "step",
    "seen",
    "ruling",
    "why",
    "who",
    "said",
    "reason",
)


def print_history(report: list[dict[str, Any]]) -> None:
    """One line an event for people, times in UTC; `--json` has every detail."""
    width = max((len(entry["product"]) for entry in report), default=0)
    for entry in report:
        if entry["event"] not in _DETAILS:
            known = f"{entry['at']:%Y-%m-%d %H:%M:%S} UTC  {entry['product']:<{width}}  {entry['event']:<20}"
            console.line("  ".join([known, *_fields(entry)]))


def _fields(entry: dict[str, Any]) -> Iterator[str]:
    for name, value in entry.items():
        if name in _SHOWN and value not in (None, "", [], {}):
            text = " ".join(_plain(value).split())
            yield f"{name} {text if len(text) <= 200 else text[:199] + '…'}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
