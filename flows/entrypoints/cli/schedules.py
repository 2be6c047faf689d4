"""What Prefect knows of the products: `seatrial deploy` tells it, `seatrial schedules` shows when runs begin."""

import os
import subprocess
import sys
from typing import Any

import typer

from deployments.errors import PlatformUnreachable
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, enter_platform

app = typer.Typer()
_PANEL = "The platform"


@app.command(rich_help_panel=_PANEL)
def deploy() -> None:
    """Tell Prefect of the flows, and of a release for each product in specs/; `seatrial up` does so, too.

    A changed spec changes its deployment and schedule, a spec that is gone takes them away, and what Seatrial did not
    deploy stays. Where PREFECT_API_URL is set, that server is told.

    Example: seatrial deploy
    """
    from deployments.local_platform.prefect_deployments import products_in
    from deployments.plurals import counted
    from deployments.settings import current

    _enter()
    command = [sys.executable, "-m", "flows.entrypoints.runner.deploy_flows"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines() if done.returncode else _told_by(done.stdout):
        console.line(line)
    if done.returncode:
        raise PlatformUnreachable("Prefect was not told of the flows: what it said stands above")
    products = products_in(current().specs_folder)
    console.say_done(f"Prefect knows {counted(len(products), 'product')}: {', '.join(products) or 'none'}")


@app.command(rich_help_panel=_PANEL)
def schedules(json: Json = False) -> None:
    """When the next release of each product begins by itself. Nothing is changed.

    Example: seatrial schedules
    """
    _enter()
    found = schedules_report()
    console.print_json(found) if json else print_schedules(found)


def schedules_report() -> list[dict[str, Any]]:
    """A document a product that this platform deployed; times are UTC, ISO 8601, the next first.

    Prefect makes the runs of a schedule within a minute after it was deployed.
    """
    from deployments.local_platform.prefect_address import prefect_rest
    from deployments.settings import current
    from flows.entrypoints.runner.deploy_flows import RELEASE, platform_tag

    settings = current()
    prefect = prefect_rest(settings)
    return [
        {
            "product": each.name,
            "schedules": [
                {"when": schedule.when, "timezone": schedule.timezone, "active": schedule.active}
                for schedule in each.schedules
            ],
            "next": [at.isoformat() for at in prefect.scheduled(each.id)],
        }
        for each in prefect.deployments(platform_tag(settings))
        if each.entrypoint == RELEASE
    ]


def print_schedules(found: list[dict[str, Any]]) -> None:
    """A line a product."""
    from datetime import datetime
    from zoneinfo import ZoneInfo

    if not found:
        console.say("Prefect knows no product yet: run `seatrial deploy`")
    for each in found:
        if not each["schedules"]:
            console.line(f"{each['product']}: no schedule")
            continue
        for schedule in each["schedules"]:
            zone = schedule["timezone"]
            coming = [f"{datetime.fromisoformat(at).astimezone(ZoneInfo(zone)):%a %d %b %H:%M}" for at in each["next"]]
            state = ", ".join(coming) or "no run is planned yet" if schedule["active"] else "off"
            console.line(f"{each['product']}: {schedule['when']} ({zone}): {state}")


def _enter() -> None:
    if "PREFECT_API_URL" not in os.environ:
        enter_platform(needs_server=True)


def _told_by(output: str) -> list[str]:
    """Of all that is said on the way, what is about a product."""
    return [line for line in output.splitlines() if line.startswith("the release of ") or " is not found by " in line]
