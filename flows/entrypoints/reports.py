"""What `status` says: gathered once, printed as tables or as JSON."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import NotFound, TryAgain
from deployments.owner import Owner
from deployments.rollout.state import Phase
from deployments.settings import current
from deployments.spec import TargetKind
from deployments.wiring import Doors
from flows.entrypoints import console
from flows.entrypoints.explaining import state_report


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
    return {
        "home": str(settings.home),
        "platform": {part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")},
        "processes": {name: report.state.value for name, report in running.items()},
        "products": {name: _product_status(name, _live(name, running)) for name in products if product in (None, name)},
        "rollouts": _under_way(product) if settings.home.is_dir() else [],
    }


def print_status(report: dict[str, Any]) -> None:
    """The report for people."""
    parts = [(part, url or "not up") for part, url in report["platform"].items()]
    targets = {facts["target"] for facts in report["products"].values()}
    if targets == {TargetKind.KUBERNETES.value} and not any(report["platform"].values()):
        console.out().print("All products run in a cluster; nothing of the platform runs here.")
    else:
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
        console.out().print("\n[bold]Rollouts under way[/bold]")
    for each in report["rollouts"]:
        console.say("\n".join(_rollout_lines(each)))


def _under_way(product: str | None) -> list[dict[str, Any]]:
    journal, now = wiring.journal(), SystemClock().now()
    found = []
    for state in journal.under_way():
        if product in (None, state.product):
            carrier = journal.holder(state.product, now)
            found.append(state_report(state) | {"carried_by": str(carrier) if carrier else None})
    return found


def _rollout_lines(each: dict[str, Any]) -> Iterator[str]:
    carrier = f"process {Owner.parse(each['carried_by']).pid}" if each["carried_by"] else "nobody now"
    step = f"step {each['step']} of {each['of']}: " if each["step"] else ""
    yield f"{each['product']} v{each['candidate']} by {each['strategy']}, carried by {carrier}"
    yield f"  {each['phase'].replace('_', ' ')}, {step}{each['doing']}"
    if each["reason"]:
        yield f"  {each['reason']}"
    if each["phase"] == Phase.RESTORING.value and not each["carried_by"]:
        yield f"  the champion is not put back yet: `seatrial rollback {each['product']}` does it now"


def _live(name: str, running: Mapping[str, object]) -> Doors | None:
    """The doors to a product's servers; None where the embedded platform has them and is down."""
    in_cluster = wiring.target_of(name) is TargetKind.KUBERNETES
    return wiring.doors_as_they_are(name) if running or in_cluster else None


def _product_status(name: str, live: Doors | None) -> dict[str, Any]:
    versions = wiring.registry().versions(name)
    champion = next((each for each in versions if "champion" in each.aliases), None)
    return {
        "target": wiring.target_of(name).value,
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
    with suppress(TryAgain):
        return {
            str(version): [replica.state.value for replica in live.target.replicas(name, version)]
            for version in live.target.versions(name)
        }
    return {}


def _percent(facts: dict[str, Any], version: dict[str, Any]) -> str:
    if facts["traffic"] is None:
        return "unknown"
    percent = facts["traffic"].get(str(version["version"]), 0)
    return f"{percent:g} %" if percent else ""


def _servers(facts: dict[str, Any], version: dict[str, Any]) -> str:
    states = facts["servers"].get(str(version["version"]), [])
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
