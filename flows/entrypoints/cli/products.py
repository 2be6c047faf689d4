"""The products of this home and project: a list of them, and taking one off the air."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, Reason, look_in_preforked_process, name_of

if TYPE_CHECKING:
    from deployments.rollout.state import RolloutState

app = typer.Typer()
_PANEL = "The platform"


@app.command(rich_help_panel=_PANEL)
def products(json: Json = False) -> None:
    """All products: those that were released here, and those that have a spec in the project and were not.

    Example: seatrial products --json
    """
    look_in_preforked_process()
    report = products_report()
    if json:
        console.print_json(report)
    elif report:
        columns = ("product", "serves", "since", "spec", "rollout under way")
        console.print_table("Products", columns, [tuple(_row(name, facts)) for name, facts in report.items()])
    else:
        console.say("There is no product yet: `seatrial init FILE --target COLUMN` makes one of a file of rows")


@app.command(rich_help_panel=_PANEL)
def remove(
    product: Product,
    reason: Reason = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    json: Json = False,
) -> None:
    """Take a product off the air: its route goes at once, its servers when they have answered what they have.

    Versions in MLflow, history, logs and the spec stay; `seatrial release` brings it back. Other products serve on.

    Example: seatrial remove flights --yes --reason "replaced by arrivals"
    """
    from deployments import wiring
    from deployments.access_control.principal import at_command_line
    from deployments.errors import BadInput
    from deployments.spec import RolloutSection
    from tasks.rollout_engine.product_removal import check_removable, take_off_the_air

    name = name_of(product)
    section = wiring.newest_section(name)
    if section is None:  # nothing is started for a product that is not there
        check_removable(name, wiring.read_only_doors_of(None))
    section = section or RolloutSection()
    doors = wiring.doors(section)
    check_removable(name, doors)
    if not yes:
        if json or not sys.stdin.isatty():
            raise BadInput(f"this takes {name} off the air: say so with --yes")
        typer.confirm(f"Take {name} off the air? Its users get 404 from then on", abort=True, err=True)
    versions = take_off_the_air(name, section, doors, at_command_line(), reason)
    if json:
        console.print_json({"product": name, "ended": list(versions)})
        return
    ended = ", ".join(f"v{version}" for version in versions) or "nothing"
    console.say(f"{name} is off the air ({ended} was running). Versions, history and logs are kept.")
    console.say(f"`seatrial release {name}` brings it back")


def products_report() -> dict[str, dict[str, Any]]:
    """By name: which version serves, since when, where its spec is, and the rollout under way."""
    from deployments import wiring
    from deployments.settings import current

    settings = current()
    specs = {path.stem: path for path in sorted(settings.specs_folder.glob("*.y*ml"))}
    newest = {state.product: state for state in wiring.journal().newest()} if settings.home.is_dir() else {}
    running = _running() if settings.home.is_dir() else set()
    return {
        name: _facts(newest.get(name), name in running) | {"spec": str(specs[name]) if name in specs else None}
        for name in sorted({*specs, *newest, *running})
    }


def _facts(newest: "RolloutState | None", has_servers: bool) -> dict[str, Any]:
    from deployments import wiring
    from deployments.spec import TargetKind
    from tasks.rollout_engine.champion import champion_by
    from tasks.rollout_engine.product_removal import removed_at

    facts: dict[str, Any] = {"serves": None, "since": None, "state": "not released", "rollout": None}
    if newest is None:
        return facts | ({"state": "serving, not in the journal"} if has_servers else {})
    if newest.live:
        facts["rollout"] = f"v{newest.candidate} by {newest.strategy}, {newest.phase.value.replace('_', ' ')}"
    champion = champion_by(newest)
    gone = removed_at(newest.product, newest.updated_at, wiring.journal())
    if gone is not None:
        return facts | {"state": "off the air", "since": gone}
    if champion is None:
        return facts | {"state": "no champion yet"}
    here = newest.section.target is TargetKind.LOCAL
    state = "down" if here and not has_servers else "serving"
    return facts | {
        "serves": champion,
        "state": state,
        "since": _since(champion, wiring.journal().rollouts(newest.product)),
    }


def _since(champion: int, rollouts: "Sequence[RolloutState]") -> Any:
    """When the champion got all traffic for the last time."""
    from tasks.rollout_engine.champion import champion_by

    since = None
    for state in rollouts:  # newest first
        if champion_by(state) != champion:
            break
        since = state.updated_at
        if state.candidate == champion:
            break
    return since


def _running() -> set[str]:
    """Products of which something runs on this machine."""
    from deployments.local_platform.lifecycle import programs
    from deployments.settings import current
    from deployments.targets.process import served_by

    found = programs(current()).items()
    return {product for name, report in found if report.state.has_process and (product := served_by(name))}


def _row(name: str, facts: dict[str, Any]) -> Iterator[object]:
    serves = f"v{facts['serves']}" if facts["serves"] else ""
    yield name
    yield serves if facts["state"] == "serving" else f"{serves} ({facts['state']})".strip()
    yield f"{facts['since']:%Y-%m-%d %H:%M} UTC" if facts["since"] else ""
    yield Path(facts["spec"]).name if facts["spec"] else "none"
    yield facts["rollout"]
