"""The page of all products: a row for each, and what waits for a person."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve
from deployments.rollout.wait_conditions import waiting
from flows.entrypoints.control_service.page.live_look import Seen
from flows.entrypoints.control_service.page.rendering import render
from flows.entrypoints.control_service.page.wording import HEALTH, PHASES

_ASKED = frozenset({Phase.WAITING, Phase.PAUSED})


@dataclass(frozen=True, slots=True)
class Row:
    """One product. `shares` are version, percent and whether that is the champion; None: nobody says."""

    name: str
    description: str
    broken: bool
    health: str
    tone: str
    champion: int | None
    challenger: int | None
    shares: list[tuple[str, float, str]] | None
    phase: str
    step: str
    waits: str
    asks: str
    since: datetime | None
    next_run: datetime | None
    schedule: str


def overview_parts(seen: Seen, names: Collection[str]) -> Mapping[str, str]:
    """The rows of some products, by the ids that they have in the page."""
    found: dict[str, str] = {}
    for name in sorted(names):
        if name in seen.reports:
            row = row_of(seen.reports[name], seen.states.get(name))
            found[f"row-{name}"] = render("row.html", row=row)
            found[f"asks-{name}"] = render("asks.html", row=row)
    return found


def row_of(report: Mapping[str, Any], state: RolloutState | None) -> Row:
    """What stands in a product's row."""
    health, tone = HEALTH.get(report["health"], (str(report["health"]), "off"))
    live = state is not None and state.live
    wait = waiting(state) if state is not None and live else None
    asks = ""
    if state is not None and state.phase in _ASKED:
        asks = state.step.question if isinstance(state.step, Approve) and state.phase is Phase.WAITING else state.reason
    description = str(report["description"])
    return Row(
        name=str(report["product"]),
        description=description,
        broken="cannot be read" in description and report["has_spec"],
        health=health,
        tone=tone,
        champion=report["champion"],
        challenger=report["challenger"],
        shares=shares_of(report),
        phase=PHASES[state.phase][0] if state is not None and live else "",
        step=f"step {state.done + 1} of {len(state.steps)}" if state is not None and live and state.step else "",
        waits=wait.what if wait else "",
        asks=asks,
        since=wait.since if wait else None,
        next_run=next_run(report),
        schedule=str((report.get("schedule") or {}).get("schedule") or ""),
    )


def shares_of(report: Mapping[str, Any]) -> list[tuple[str, float, str]] | None:
    """Version, percent and role of whoever has traffic; None where nobody says."""
    shares = report["shares"]
    if shares is None:
        return None
    return [
        (f"v{version}", percent, "champion" if str(version) == str(report["champion"]) else "candidate")
        for version, percent in sorted(shares.items(), key=lambda each: int(each[0]))
        if percent
    ]


def next_run(report: Mapping[str, Any]) -> datetime | None:
    """When the schedule starts the next run, in UTC; None: it has none, or nothing is known of it."""
    found = (report.get("schedule") or {}).get("next") or ()
    return datetime.fromisoformat(found[0]["utc"]) if found else None
