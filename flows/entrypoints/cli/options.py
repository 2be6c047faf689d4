"""What several commands share: their arguments, and how they come to the platform."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from deployments.clock import SystemClock
from deployments.errors import GiveUp, PlatformUnreachable
from tasks.signals import CommandInterruptedError

INTERRUPTED = 130
_ACCEPTED_WITHIN_SECONDS = 2.0
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output instead of text")]
Product = Annotated[str, typer.Argument(help="name of a product in specs/, or the path of a spec", metavar="PRODUCT")]
Reason = Annotated[str, typer.Option("--reason", help="why, for the history", metavar="TEXT")]
RolloutId = Annotated[
    str | None,
    typer.Option("--rollout", metavar="ID", help="id, or its beginning; the one under way, else the last, without it"),
]


def run_in_preforked_process(product: str) -> None:
    """Let a fork of the platform's warm process do all of it, if there is one; then this process has only to end."""
    from deployments.settings import current
    from flows.entrypoints.runner.prefork_client import KilledError, run_preforked

    since = SystemClock().now()
    try:
        code = run_preforked(current(), sys.argv[1:])
    except KilledError:
        from flows.entrypoints.cli.interruption_hint import after_kill

        raise GiveUp(after_kill(name_of(product), since)) from None
    if code == INTERRUPTED:
        raise CommandInterruptedError
    if code is not None:
        raise typer.Exit(code)


def look_in_preforked_process() -> None:
    """Let a fork of the platform's warm process do a command that only looks, which then need not import anything.

    One that is busy, stopped or killed keeps nobody from looking.
    """
    from deployments.settings import current
    from flows.entrypoints.runner.prefork_client import KilledError, run_preforked

    with suppress(KilledError):
        code = run_preforked(current(), sys.argv[1:], _ACCEPTED_WITHIN_SECONDS)
        if code == INTERRUPTED:
            raise CommandInterruptedError
        if code is not None:
            raise typer.Exit(code)


def enter_platform(needs_server: bool = False) -> Callable[[], None]:
    """Point this process at the platform, before Prefect is imported and reads its settings.

    Where it is not up, a server of Prefect is started for this command. What is returned waits until it answers.
    """
    from deployments.local_platform.environment import environment_with_password, password_of_prefect
    from deployments.local_platform.lifecycle import live_addresses
    from deployments.settings import current

    settings = current()
    addresses = live_addresses(settings)
    if needs_server and addresses.prefect is None:
        raise PlatformUnreachable("the Prefect server is not up: start it with `seatrial up`")
    os.environ.update(environment_with_password(settings, addresses))
    if "PREFECT_API_URL" in os.environ:
        return lambda: None
    from flows.entrypoints.runner.temporary_prefect import PrefectForOneCommand

    server = PrefectForOneCommand(settings)
    os.environ.update({"PREFECT_API_URL": server.api_url} | password_of_prefect(settings))
    return server.wait


def name_of(product: str) -> str:
    """The name of the product: as it was given, or as the spec says whose path was given."""
    if Path(product).suffix not in {".yaml", ".yml"}:
        return product
    from deployments.settings import current
    from tasks.spec_file import find_spec, load_product

    return load_product(find_spec(product, current().specs_folder)).product
