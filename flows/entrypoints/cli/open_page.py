"""`seatrial open`: a page of the platform in a browser, logged in."""

import os
import sys
import webbrowser
from typing import Annotated

import typer

from deployments.errors import BadInput, PlatformUnreachable
from flows.entrypoints import console

app = typer.Typer()
PAGES = ("seatrial", "prefect", "mlflow")


@app.command("open", rich_help_panel="The platform")
def open_page(
    page: Annotated[str, typer.Argument(help="seatrial (its own page), prefect or mlflow")] = "seatrial",
    show: Annotated[
        bool, typer.Option("--print", help="print an address that logs in once, within a minute; open no browser")
    ] = False,
) -> None:
    """Open Seatrial's page, or Prefect's or MLflow's, logged in.

    Example: seatrial open mlflow
    """
    from deployments.clock import SystemClock
    from deployments.settings import current
    from deployments.web_login.login_link import address_with_ticket, write_leading_file

    if page not in PAGES:
        raise BadInput(f"no page {page!r}: open seatrial, prefect or mlflow")
    settings = current()
    where = _address(page)
    address = address_with_ticket(where, settings.keys_folder, page, SystemClock().now())
    if not show and _has_screen():
        leading = settings.run_folder / f"open-{page}.html"
        write_leading_file(leading, address)
        if webbrowser.open(leading.as_uri()):
            console.say_done(f"{where} is opened in the browser (`seatrial open {page} --print` if it is not)")
            return
        leading.unlink(missing_ok=True)
    typer.echo(address)


def _address(page: str) -> str:
    from deployments.local_platform.lifecycle import live_addresses
    from deployments.redaction import masked
    from deployments.settings import current

    settings = current()
    if page == "mlflow" and not settings.has_own_mlflow:
        raise BadInput(f"MLflow is your own, at {masked(settings.mlflow_uri)}: open it there")
    part = "gateway" if page == "seatrial" else page
    where = live_addresses(settings).url(part)
    if where is None:
        raise PlatformUnreachable(f"{page} is not up: start it with `seatrial up`")
    return where


def _has_screen() -> bool:
    """Whether a browser has somewhere to appear."""
    return sys.platform != "linux" or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
