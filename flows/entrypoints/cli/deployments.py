"""Prefect's deployments and schedules: made what the specs say, and shown."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, enter_platform

if TYPE_CHECKING:
    from deployments.prefect_api import PrefectApi
    from flows.deployment_apply import Difference
    from flows.deployment_definitions import Definitions

app = typer.Typer()
_PANEL = "Triggers"
Folder = Annotated[Path | None, typer.Argument(help="folder of specs; the project's without it", metavar="FOLDER")]
SkipBroken = Annotated[
    bool, typer.Option("--skip-broken", help="go on although a spec is wrong: its deployment stays as it is")
]


@app.command(rich_help_panel=_PANEL)
def deploy(skip_broken: SkipBroken = False, json: Json = False) -> None:
    """Make Prefect's deployments, schedules and policies what the project says, without a question.

    At the Prefect of PREFECT_API_URL, where that is set: from CI, or in a cluster; else at that of this platform.

    Example: PREFECT_API_URL=https://prefect.example/api seatrial deploy
    """
    with _prefect() as api:
        found, differences = _differences(None, skip_broken, api)
        _carry_out(found, differences, api, json)


@app.command(rich_help_panel=_PANEL)
def apply(
    folder: Folder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show what would be done, and do nothing")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Show how Prefect differs from what a folder says: deployments, schedules, policies; ask; then make them the same.

    Policies are the automations in the folder automations/ beside the specs, and how many trainings run at once.
    A second call finds nothing to do. What has no tag of Seatrial's stays as it is.

    Example: seatrial apply specs/ --dry-run
    """
    from deployments.errors import BadInput

    with _prefect() as api:
        found, differences = _differences(folder, skip_broken, api)
        if not json:
            console.say_beside(f"Prefect at {api.address}, work pool {found.pool}:")
            for each in differences:
                console.say(each.sentence())
        if dry_run:
            _tell_result(differences, (), json)
            return
        if differences and not yes:
            if json or not sys.stdin.isatty():
                raise BadInput("this changes Prefect's deployments: say so with --yes, or look with --dry-run")
            typer.confirm("Do this?", abort=True, err=True)
        _carry_out(found, differences, api, json, quiet=True)


@app.command(rich_help_panel=_PANEL)
def schedules(json: Json = False) -> None:
    """What comes next: for each product when it is released by its schedule, whether that is on, and its last run.

    Example: seatrial schedules --json
    """
    from flows.entrypoints.cli.schedules import print_schedules
    from flows.reports.schedules import schedules_report

    with _prefect() as api:
        report = schedules_report(api)
    console.print_json(report) if json else print_schedules(report)


@contextmanager
def _prefect() -> Iterator["PrefectApi"]:
    """The Prefect of PREFECT_API_URL where the caller set it, else that of the platform."""
    from deployments.prefect_api import PrefectApi

    if "PREFECT_API_URL" not in os.environ:
        enter_platform(needs_server=True)()
    with PrefectApi.of_environment() as api:
        yield api


def _differences(
    folder: Path | None, skip_broken: bool, api: "PrefectApi"
) -> tuple["Definitions", tuple["Difference", ...]]:
    """What should be, and what is to be done. Raises `BadSpec` for specs that cannot be used, `NotFound` for none."""
    from deployments.errors import BadSpec, NotFound
    from deployments.local_platform.prefect_deployments import spec_files
    from deployments.settings import current
    from flows.deployment_apply import wanted_by
    from flows.deployment_plan import changes
    from flows.policies import policy_changes

    specs = (folder or current().specs_folder).resolve()
    if not spec_files(specs):
        raise NotFound(f"no spec in {specs}: name the folder that your specs are in; `seatrial init` makes a first one")
    found = wanted_by(current(), specs)
    if found.broken and not skip_broken:
        raise BadSpec("nothing was changed, for a spec cannot be used:\n" + "\n".join(found.broken.values()))
    for problem in found.broken.values():
        console.warn(f"its deployment stays as it is: {problem}")
    policies = policy_changes(specs, current(), api, prune=not found.broken)
    return found, (*changes(found, api), *policies)


def _carry_out(
    found: "Definitions", differences: tuple["Difference", ...], api: "PrefectApi", json: bool, quiet: bool = False
) -> None:
    from deployments.settings import current
    from flows.deployment_apply import bring

    def told(change: "Difference") -> None:
        if not (json or quiet):
            console.say_done(change.sentence())

    bring(found, differences, api, current(), told)
    _tell_result(differences, differences, json)


def _tell_result(differences: tuple["Difference", ...], done: tuple["Difference", ...], json: bool) -> None:
    from deployments.plurals import counted

    if json:
        report: dict[str, Any] = {"changes": [each.document() for each in differences], "done": len(done)}
        console.print_json(report)
    elif not differences:
        console.say("nothing to do: Prefect has what the specs say")
    elif not done:
        console.say(f"{counted(len(differences), 'change')}, and nothing was done (--dry-run)")
    else:
        console.say(f"{counted(len(done), 'change')} done")
