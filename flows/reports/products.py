"""All products at a glance, as JSON: by the journal, the gateway and the specs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deployments.errors import SeatrialError
from deployments.journals.protocol import Journal
from deployments.local_platform.prefect_deployments import spec_files
from deployments.rollout.state import Phase, RolloutState
from deployments.routers.protocol import Router
from flows.reports.rollout import state_report
from tasks.rollout_engine.champion import champion_by

HEALTH = frozenset(
    {"serving", "under way", "asks", "holding", "going back", "off the air", "gateway away", "never served"}
    | {"never released"}
)
RouterOf = Callable[[RolloutState], Router]


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A spec in the folder. `called` is what runs call its product: the file's name."""

    called: str
    description: str


def products_report(journal: Journal, router_of: RouterOf, specs: Path) -> list[dict[str, Any]]:
    """Each product that was rolled out here or has a spec, by name.

    `champion` and `challenger` are versions, null where there is none; `shares` is the percent of traffic of each
    version as the gateway reports it, null where it does not answer; `health` is one of `serving`, `under way`,
    `asks` (a person is asked), `holding`, `going back`, `off the air`, `gateway away`, `never served` (its first
    rollout went back) and `never released`. `rollout` is the newest one.
    """
    newest = {state.product: state for state in journal.newest()}
    described = specs_by_product(specs)
    return [
        product_report(name, newest.get(name), router_of, described.get(name)) for name in sorted({*newest, *described})
    ]


def product_report(
    name: str, newest: RolloutState | None, router_of: RouterOf, spec: SpecFile | None
) -> dict[str, Any]:
    """One product, by its newest rollout; None: it had none."""
    report: dict[str, Any] = {
        "product": name,
        "description": spec.description if spec else "",
        "has_spec": spec is not None,
        "champion": None,
        "challenger": None,
        "shares": {},
        "health": "never released",
        "rollout": None,
    }
    if newest is None:
        return report
    shares = _shares(name, newest, router_of)
    report["shares"], report["health"] = shares, _health(newest, shares)
    report["champion"] = None if report["health"] == "off the air" else champion_by(newest)
    report["challenger"] = newest.candidate if newest.live and newest.candidate != report["champion"] else None
    report["rollout"] = state_report(newest)
    return report


def specs_by_product(specs: Path) -> dict[str, SpecFile]:
    """The spec of each product in the folder; of one that cannot be read the description says so.

    Only name and description are read: a whole spec is checked where it is used.
    """
    found: dict[str, SpecFile] = {}
    for path in spec_files(specs):
        name, said = _read(path)
        found.setdefault(name, SpecFile(path.stem, said))
    return found


def _read(path: Path) -> tuple[str, str]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return str(document["product"]), str(document.get("description") or "")
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return path.stem, f"{path.name} cannot be read: `seatrial lint {path.stem}` says why"


def _health(state: RolloutState, shares: Mapping[str, float] | None) -> str:
    if shares is None:
        return "gateway away"
    match state.phase:
        case Phase.WAITING | Phase.PAUSED:
            return "asks"
        case Phase.HOLDING:
            return "holding"
        case Phase.RESTORING:
            return "going back"
        case Phase.DONE | Phase.ROLLED_BACK:
            return "serving" if shares else "off the air" if champion_by(state) is not None else "never served"
        case _:
            return "under way"


def _shares(name: str, state: RolloutState, router_of: RouterOf) -> dict[str, float] | None:
    try:
        routing = router_of(state).read(name)
    except SeatrialError:
        return None
    return {} if routing is None else {str(version): share for version, share in routing.weights.percents.items()}
