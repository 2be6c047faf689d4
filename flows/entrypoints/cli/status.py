"""What `status` says: gathered once, printed as tables or as JSON."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from deployments import wiring
from deployments.clock import SystemClock
from deployments.errors import ClusterRefused, NotFound, SeatrialError, TryAgain
from deployments.metrics.category_drift import unknown_categories
from deployments.metrics.model_servers import log_losses
from deployments.process_identity import Owner
from deployments.registry import ModelVersion
from deployments.registry.registry_diff import Entry
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.wait_conditions import waiting
from deployments.settings import current
from deployments.spec import TargetKind
from deployments.targets.process import served_by
from deployments.targets.protocol import Replica, ReplicaState
from deployments.wiring import Doors
from flows.entrypoints import console
from flows.reports.rollout import state_report
from tasks.rollout_engine.champion import champion_by, who_serves
from tasks.rollout_engine.desired_aliases import desired_registry
from tasks.rollout_engine.product_removal import is_off_the_air

# Servers that hang are waited for together; more threads than these only wait for each other.
_ASKED_AT_ONCE = 4
_LOOK = "why, the servers' log tells"
# What to change, by why rows were dropped.
_LOG_ADVICE = {
    "rate": "more than rollout.server.log.rate",
    "too_large": "of requests too large for rollout.server.log.size, or a row of 2 MiB of text",
    "buffer_full": "faster than they can be written: lower rollout.server.log.sample",
    "disk_full": "the disk has no room to spare",
    "unreachable": "the store of rollout.server.log.folder takes nothing",
}


def status_report(product: str | None) -> dict[str, Any]:
    """Parts of the platform, and of each product: champion, versions, servers and traffic as the gateway reports it.

    The rollouts under way stand beside them, oldest first. Raises `NotFound` for a product that was never released.
    """
    from deployments.local_platform.lifecycle import live_addresses, programs

    settings = current()
    addresses = live_addresses(settings)
    running = programs(settings)
    products = _known_products(product, running) if settings.home.is_dir() else ()
    if product is not None and product not in products:
        raise NotFound(f"{product!r} was never released here (released: {', '.join(products) or 'nothing yet'})")
    shown = [name for name in products if product in (None, name)]
    registry = _Registry(shown)
    with wiring.one_look() if running else nullcontext(), ThreadPoolExecutor(_ASKED_AT_ONCE) as each:
        told = each.map(lambda name: _product_status(name, running, registry), shown)
        statuses = dict(zip(shown, told, strict=True))
    return {
        "home": str(settings.home),
        "platform": {part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")},
        "processes": {name: report.state.value for name, report in running.items()},
        "products": statuses,
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
        if report["platform"]["prefect"] is not None:
            console.out().print("Pages: `seatrial open` and `seatrial open mlflow` open them logged in.")
    rows = [
        (
            name,
            version["version"],
            "off the air" if facts["off_the_air"] and version["version"] == facts["champion"] else version["status"],
            " ".join(version["aliases"]),
            _percent(facts, version),
            _servers(facts, version),
        )
        for name, facts in report["products"].items()
        for version in _shown(facts)
    ]
    if rows:
        console.out().print()
        console.print_table("Products", ("product", "version", "status", "alias", "traffic", "servers"), rows)
    else:
        console.out().print(f"\nNothing released yet: {_first_step(current().specs_folder)}")
    for name, facts in report["products"].items():
        _print_amiss(name, facts)
    if report["rollouts"]:
        console.out().print("\n[bold]Rollouts under way[/bold]")
    for each in report["rollouts"]:
        console.say("\n".join(_rollout_lines(each)))


def _shown(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """The versions in the registry, and those that have traffic or servers without being there any more."""
    known = {each["version"] for each in facts["versions"]}
    running = {int(each) for each in (*(facts["traffic"] or {}), *facts["servers"])}
    lost = sorted(({*running, facts["champion"]} - {None}) - known)
    gone = [{"version": each, "status": "not in the registry", "aliases": []} for each in lost]
    return [*facts["versions"], *gone]


def _print_amiss(name: str, facts: dict[str, Any]) -> None:
    for each in (*facts["amiss"], *facts.get("unknown_categories", ())):
        console.say(f"\n{name}: {each}")
    if dropped := facts.get("log_dropped"):
        why = "; ".join(f"{rows:,} by {reason} ({_LOG_ADVICE.get(reason, _LOOK)})" for reason, rows in dropped.items())
        console.say(f"\n{name}: rows that are not in the inference log: {why}")
    if facts["registry"]:
        serves = f"v{facts['champion']} serves all the same" if facts["champion"] else "no traffic rests on it"
        console.say(f"\n{name}: the registry differs from what is true; {serves}; `seatrial repair {name}` mends it")
        for each in facts["registry"]:
            console.say(f"  {each}")


def _first_step(specs: Path) -> str:
    """What to do where nothing was released."""
    named = sorted(path.stem for path in specs.glob("*.yaml"))
    return f"try `seatrial release {named[0]}`" if named else f"write a spec into {specs}, and `seatrial lint` it"


def _under_way(product: str | None) -> list[dict[str, Any]]:
    journal, now = wiring.journal(), SystemClock().now()
    found = []
    for state in journal.under_way():
        if product in (None, state.product):
            carrier = journal.holder(state.product, now)
            wait = waiting(state)
            told = {"carried_by": str(carrier) if carrier else None, "sentence": wait.sentence(now) if wait else ""}
            found.append(state_report(state) | told)
    return found


def _rollout_lines(each: dict[str, Any]) -> Iterator[str]:
    carrier = f"process {Owner.parse(each['carried_by']).pid}" if each["carried_by"] else "nobody now"
    step = f"step {each['step']} of {each['of']}: " if each["step"] else ""
    yield f"{each['product']} v{each['candidate']} by {each['strategy']}, carried by {carrier}"
    yield f"  {each['phase'].replace('_', ' ')}, {step}{each['doing']}"
    if each["reason"]:
        yield f"  {each['reason']}"
    if not each["carried_by"] and each["phase"] == Phase.RESTORING.value:
        yield f"  the champion is not put back yet: `seatrial rollback {each['product']}` does it now"
    elif not each["carried_by"]:
        ended = f"`seatrial abort {each['product']}` ends it"
        yield f"  the platform carries it on within a minute, if it is up; {ended}"
    elif each["sentence"]:
        yield f"  {each['sentence']}"


def _known_products(wanted: str | None, running: Mapping[str, object]) -> tuple[str, ...]:
    """Every product that the registry knows, that has servers here, or a rollout under way; `wanted` if it ever had.

    A registry that does not answer, or in which somebody renamed a model, hides nobody who serves.
    """
    journal = wiring.journal()
    here = {product for name in running if (product := served_by(name))} | {
        each.product for each in journal.under_way()
    }
    if wanted is not None and journal.rollouts(wanted):
        here.add(wanted)
    try:
        return tuple(sorted({*wiring.registry().products(), *here}))
    except SeatrialError:
        if not here:
            raise
        return tuple(sorted(here))


class _Registry:
    """What the registry says of all products that are shown, asked once; `error` if it does not answer."""

    def __init__(self, shown: Sequence[str]) -> None:
        self._entries: Mapping[str, Entry] = {}
        self.error: SeatrialError | None = None
        try:
            if shown:
                self._entries = wiring.registry().entries()
        except SeatrialError as error:
            self.error = error

    def entry(self, product: str) -> Entry:
        """Raises what was raised when it was asked."""
        if self.error is not None:
            raise self.error
        return self._entries.get(product, Entry())


def _live(rollouts: Sequence[RolloutState], running: Mapping[str, object]) -> Doors | None:
    """The doors to a product's servers; None where the embedded platform has them and is down."""
    section = rollouts[0].section if rollouts else None
    in_cluster = section is not None and section.target is TargetKind.KUBERNETES
    return wiring.read_only_doors_of(section) if running or in_cluster else None


def _product_status(name: str, running: Mapping[str, object], registry: _Registry) -> dict[str, Any]:
    """What is known of one product; what goes wrong with it is told in `amiss`, and hides no other one."""
    report: dict[str, Any] = {
        "target": TargetKind.LOCAL.value,
        "champion": None,
        "off_the_air": False,
        "traffic": None,
        "servers": {},
        "versions": [],
        "registry": [],
        "log_dropped": {},
        "unknown_categories": [],
        "amiss": [],
    }
    live: Doors | None = None
    rollouts: Sequence[RolloutState] = ()
    with _told_in(report["amiss"]):
        rollouts = wiring.journal().rollouts(name)
        report["target"] = rollouts[0].section.target.value if rollouts else TargetKind.LOCAL.value
        report["off_the_air"] = is_off_the_air(name, wiring.journal())
        live = _live(rollouts, running)
    with _told_in(report["amiss"]):
        report["traffic"] = _traffic(name, live)
        servers = _replicas(name, live)
        report["servers"] = {str(number): [each.state.value for each in found] for number, found in servers.items()}
        report["log_dropped"] = _log_dropped(servers)
        report["unknown_categories"] = _unknown_categories(name, servers, live)
    with _told_in(report["amiss"]):
        report["versions"] = [_version(each) for each in registry.entry(name).versions]
    with _told_in(report["amiss"]):
        champion = _champion(name, rollouts, live, report)
        report["champion"] = champion
        report["registry"] = list(registry.entry(name).differences(desired_registry(champion, rollouts)))
    return report


def _champion(name: str, rollouts: Sequence[RolloutState], live: Doors | None, report: Mapping[str, Any]) -> int | None:
    """Who serves, by the journal first, then by the traffic, and last by the registry."""
    by_journal = champion_by(rollouts[0]) if rollouts else None
    if by_journal is not None:
        return by_journal
    if live is not None:
        with suppress(TryAgain):
            return who_serves(name, live)
    return next((each["version"] for each in report["versions"] if "champion" in each["aliases"]), None)


@contextmanager
def _told_in(amiss: list[str]) -> Iterator[None]:
    try:
        yield
    except SeatrialError as error:
        if str(error) not in amiss:
            amiss.append(str(error))


def _version(each: ModelVersion) -> dict[str, Any]:
    return {
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


def _traffic(name: str, live: Doors | None) -> dict[str, float] | None:
    """Percent by version; None when the gateway does not say."""
    try:
        routing = live.router.read(name) if live else None
    except TryAgain:
        return None
    return {str(version): percent for version, percent in routing.weights.percents.items()} if routing else {}


def _replicas(name: str, live: Doors | None) -> Mapping[int, Sequence[Replica]]:
    """The servers of each version, looked at once; none where nobody can tell."""
    if live is None:
        return {}
    with suppress(TryAgain):
        return {version: live.target.replicas(name, version) for version in live.target.versions(name)}
    return {}


def _log_dropped(replicas: Mapping[int, Sequence[Replica]]) -> dict[str, int]:
    """Rows that are not in the inference log, by reason; of servers of this machine, which answer whoever is here."""
    every = [each for found in replicas.values() for each in found]
    with suppress(TryAgain):
        here = [each.address for each in every if each.state is ReplicaState.READY and "/" in each.address]
        return dict(log_losses(here))
    return {}


def _unknown_categories(name: str, replicas: Mapping[int, Sequence[Replica]], live: Doors | None) -> list[str]:
    """What jumped among users' categories, as servers and pods tell it; nothing where we may not ask these."""
    if live is None:
        return []
    with suppress(TryAgain, ClusterRefused):
        local = {number: [each.address for each in found] for number, found in replicas.items()} if live.place else {}
        return [*unknown_categories(local), *live.category_jumps(name)]
    return []


def _percent(facts: dict[str, Any], version: dict[str, Any]) -> str:
    if facts["traffic"] is None:
        return "unknown"
    percent = facts["traffic"].get(str(version["version"]), 0)
    return f"{percent:g} %" if percent else ""


def _servers(facts: dict[str, Any], version: dict[str, Any]) -> str:
    states = facts["servers"].get(str(version["version"]), [])
    return ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
