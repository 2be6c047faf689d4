"""What `status` and `history` say: gathered once, printed as a table or as JSON."""

from collections.abc import Iterator
from typing import Any

import typer

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import NotFound, TryAgain
from deployments.owner import Owner
from deployments.settings import current
from deployments.wiring import Doors
from flows.entrypoints import console
from flows.entrypoints.explaining import state_report

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
    "version",
    "candidate",
    "step",
    "seen",
    "ruling",
    "why",
    "who",
    "said",
    "reason",
)


def status_report(product: str | None) -> dict[str, Any]:
    """Parts of the platform, and of each product: champion, versions, servers and traffic as the gateway reports it.

    The rollouts under way stand beside them, oldest first. Raises `NotFound` for a product that was never released.
    """
    from deployments.platform.local import live_addresses, programs

    settings = current()
    addresses = live_addresses(settings)
    running = programs(settings)
    products = wiring.registry().products() if settings.home.is_dir() else ()
    if product is not None and product not in products:
        raise NotFound(f"{product!r} was never released here (released: {', '.join(products) or 'nothing yet'})")
    live = wiring.doors_as_they_are() if running else None
    return {
        "home": str(settings.home),
        "platform": {part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")},
        "processes": {name: report.state.value for name, report in running.items()},
        "products": {name: _product_status(name, live) for name in products if product in (None, name)},
        "rollouts": _under_way(product) if settings.home.is_dir() else [],
    }


def print_status(report: dict[str, Any]) -> None:
    """The report for people."""
    parts = [(part, url or "not up") for part, url in report["platform"].items()]
    console.print_table("Platform", ("part", "address"), parts)
    rows = [
        (
            name,
            version["version"],
            version["status"],
            " ".join(version["aliases"]),
            _percent(facts, version),
            _servers(facts, version),
        )
        for name, facts in report["products"].items()
        for version in facts["versions"]
    ]
    if rows:
        console.out().print()
        console.print_table("Products", ("product", "version", "status", "alias", "traffic", "servers"), rows)
    else:
        console.out().print("\nNothing released yet: try `seatrial release flights`")
    if report["rollouts"]:
        console.out().print()
        columns = ("product", "candidate", "strategy", "phase", "step", "why", "carried by")
        console.print_table("Rollouts under way", columns, [_rollout_row(each) for each in report["rollouts"]])


def history_report(product: str | None, limit: int) -> list[dict[str, Any]]:
    """The last `limit` events, oldest first."""
    events = wiring.journal().events(product)
    if product is not None and not events:
        raise NotFound(f"nothing is known of {product!r}: check the name with `seatrial status`")
    return [
        {"at": event.at, "product": event.product, "event": event.kind, "run": event.run, **event.detail}
        for event in events[-limit:]
    ]


def print_history(report: list[dict[str, Any]]) -> None:
    """One line an event for people, times in UTC; `--json` has every detail."""
    width = max((len(entry["product"]) for entry in report), default=0)
    for entry in report:
        if entry["event"] not in _DETAILS:
            known = f"{entry['at']:%Y-%m-%d %H:%M:%S}  {entry['product']:<{width}}  {entry['event']:<20}"
            typer.echo("  ".join([known, *_fields(entry)]))


def _under_way(product: str | None) -> list[dict[str, Any]]:
    journal, now = wiring.journal(), SystemClock().now()
    found = []
    for state in journal.under_way():
        if product in (None, state.product):
            carrier = journal.holder(state.product, now)
            found.append(state_report(state) | {"carried_by": str(carrier) if carrier else None})
    return found


def _rollout_row(each: dict[str, Any]) -> tuple[str, ...]:
    step = f"{each['step']} of {each['of']}: {each['doing']}" if each["step"] else str(each["doing"])
    carrier = f"process {Owner.parse(each['carried_by']).pid}" if each["carried_by"] else "nobody now"
    return (each["product"], f"v{each['candidate']}", each["strategy"], each["phase"], step, each["reason"], carrier)


def _product_status(name: str, live: Doors | None) -> dict[str, Any]:
    versions = wiring.registry().versions(name)
    champion = next((each for each in versions if "champion" in each.aliases), None)
    return {
        "champion": champion.version if champion else None,
        "traffic": _traffic(name, live),
        "servers": _running_servers(name, live),
        "versions": [
            {
                "version": each.version,
                "status": each.status.value,
                "aliases": list(each.aliases),
                "created_at": each.facts.created_at,
                "deployed_at": each.deployed_at,
                "algorithm": each.facts.algorithm,
                "metrics": dict(each.facts.metrics),
                "size_mb": each.facts.size_mb,
                "data_fingerprint": each.facts.data_fingerprint,
                "rollback_version": each.rollback_version,
            }
            for each in versions
        ],
    }


def _traffic(name: str, live: Doors | None) -> dict[str, float] | None:
    """Percent by version; None when the gateway does not say."""
    try:
        routing = live.router.read(name) if live else None
    except TryAgain:
        return None
    return {str(version): percent for version, percent in routing.weights.percents.items()} if routing else {}


def _running_servers(name: str, live: Doors | None) -> dict[str, list[str]]:
    if live is None:
        return {}
    return {
        str(version): [replica.state.value for replica in live.target.replicas(name, version)]
        for version in live.target.versions(name)
    }


def _percent(facts: dict[str, Any], version: dict[str, Any]) -> str:
    if facts["traffic"] is None:
        return "unknown"
    percent = facts["traffic"].get(str(version["version"]), 0)
    return f"{percent:g} %" if percent else ""


def _servers(facts: dict[str, Any], version: dict[str, Any]) -> str:
    states = facts["servers"].get(str(version["version"]), [])
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))


def _fields(entry: dict[str, Any]) -> Iterator[str]:
    for name, value in entry.items():
        if name in _SHOWN and value not in (None, "", [], {}):
            text = " ".join(_plain(value).split())
            yield f"{name} {text if len(text) <= 200 else text[:199] + '…'}"


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
