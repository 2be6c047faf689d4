"""`seatrial`: start the platform, release, look, steer, roll back.

Exit codes: 0 done · 1 something broke · 2 bad input · 3 refused by validation or gate · 4 the rollout failed and was
rolled back · 5 the platform is not reachable · 130 interrupted.
"""

import os
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import typer
from pydantic import ValidationError

from deployments.account_isolation import restrict_new_files
from deployments.errors import SeatrialError
from deployments.proxy_environment import heed_proxies
from flows.entrypoints import console
from flows.entrypoints.cli import (
    ci,
    container_images,
    deployments,
    events,
    gateway_keys,
    inference_log,
    init,
    open_page,
    platform_commands,
    products,
    release,
    rollout_control,
    rollout_inspection,
    spec_commands,
    tokens,
    webhooks,
)
from flows.entrypoints.cli.options import INTERRUPTED
from tasks.models.resource_limits import sleep_while_threads_wait
from tasks.secondary_errors import full_text
from tasks.signals import PRESENT, CommandInterruptedError

app = typer.Typer(
    help="Takes a machine-learning model from data to live traffic, and back on the first honest evidence of harm.",
    epilog="Exit codes: 0 done, 1 something broke, 2 bad input, 3 refused by validation or gate, "
    "4 rollout failed and was rolled back, 5 platform not reachable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for part in (
    platform_commands,
    deployments,
    products,
    open_page,
    init,
    spec_commands,
    ci,
    inference_log,
    release,
    rollout_inspection,
    rollout_control,
    webhooks,
    events,
    tokens,
    gateway_keys,
    container_images,
):
    app.add_typer(part.app)
_INTERRUPTED: tuple[tuple[Collection[str], str], ...] = (
    (("up",), "what is up stays, `seatrial up` starts the rest, and `seatrial down` ends all of it"),
    (("down",), "`seatrial down` once more ends what is left"),
    (("init", "ci"), "nothing was written"),
    (("remove",), "the same command again finishes what was begun (`seatrial products` shows it)"),
    (("watch",), "the rollout goes on (`seatrial status` shows it)"),
    (release.COMMANDS, "traffic is as before (`seatrial status` shows it)"),
    (
        rollout_control.COMMANDS,
        "an order that is written down is carried out all the same (`seatrial status` shows it)",
    ),
)
UsageError: Any = typer.BadParameter.__mro__[2]  # typer gives the base class of its usage errors no public name


def main() -> None:
    """Run the command line; every error that Seatrial raises on purpose becomes one line and its exit code."""
    restrict_new_files()
    sleep_while_threads_wait()
    for sentence in heed_proxies():
        console.warn(sentence)
    PRESENT.heed()
    code = run()
    with suppress(OSError):
        sys.stdout.flush()
    for number in (signal.SIGINT, signal.SIGTERM):  # how it went is told: who is in a hurry need not wait for farewells
        signal.signal(number, lambda *_: os._exit(code))
    sys.exit(code)


def run() -> int:
    """Run the command line over `sys.argv`; returns the exit code: 130 for all that was interrupted."""
    try:
        code = app(standalone_mode=False)
    except CommandInterruptedError as error:
        return console.fail(str(error), INTERRUPTED) if str(error) else INTERRUPTED
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the edge of the process
        code = _failed(error)
    if code == INTERRUPTED:
        return console.fail(_after_interruption(), INTERRUPTED)
    return code if isinstance(code, int) else 0


def _failed(error: Exception) -> int:
    if isinstance(error, SeatrialError):
        code = console.fail(full_text(error), error.exit_code)
        return INTERRUPTED if PRESENT.asked else code
    if isinstance(error, UsageError):
        error.show()
        return int(error.exit_code)
    if isinstance(error, ValidationError):
        problems = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return console.fail("; ".join(problems), 2)
    return console.unexpected(error) if PRESENT.cause(error) is error else INTERRUPTED


def _after_interruption() -> str:
    """A command that moves traffic has not begun to; the others only stop looking or waiting."""
    command = "".join(sys.argv[1:2])
    said = next((said for commands, said in _INTERRUPTED if command in commands), "")
    return f"interrupted: {said}" if said else "interrupted"


if __name__ == "__main__":
    main()
