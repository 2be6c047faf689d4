"""What a person tells a rollout that is under way: the order is written down, and its carrier deals with it."""

import typer

from deployments.rollout.operator_commands import Verb
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, Reason, name_of

app = typer.Typer()
COMMANDS = frozenset(verb.value for verb in Verb)
_PANEL = "A rollout under way"


@app.command(rich_help_panel=_PANEL)
def promote(product: Product, reason: Reason = "", json: Json = False) -> None:
    """Give the candidate all traffic now; what was still to be watched or approved is left out, the bake is not.

    Example: seatrial promote flights --reason "checked by hand"
    """
    _tell(product, Verb.PROMOTE, reason, json)


@app.command(rich_help_panel=_PANEL)
def skip(product: Product, reason: Reason = "", json: Json = False) -> None:
    """End the present observation or question, and go on with the next step.

    Example: seatrial skip flights --reason "seen enough"
    """
    _tell(product, Verb.SKIP, reason, json)


@app.command(rich_help_panel=_PANEL)
def approve(product: Product, reason: Reason = "", json: Json = False) -> None:
    """Say yes to the question that the rollout asks (`seatrial status` shows it).

    Example: seatrial approve flights --reason "looked at by hand"
    """
    _tell(product, Verb.APPROVE, reason, json)


@app.command(rich_help_panel=_PANEL)
def pause(product: Product, reason: Reason = "", json: Json = False) -> None:
    """Let weights stand as they are. The candidate is still watched, and harm still rolls back.

    Example: seatrial pause flights --reason "until the sale is over"
    """
    _tell(product, Verb.PAUSE, reason, json)


@app.command(rich_help_panel=_PANEL)
def resume(product: Product, reason: Reason = "", json: Json = False) -> None:
    """Go on after a pause, at the step where it was; the step's deadline counts anew.

    Example: seatrial resume flights
    """
    _tell(product, Verb.RESUME, reason, json)


@app.command(rich_help_panel=_PANEL)
def abort(product: Product, reason: Reason = "", json: Json = False) -> None:
    """Give the champion everything back, and wait until it has it.

    Example: seatrial abort flights --reason "users complain"
    """
    _tell(product, Verb.ABORT, reason, json)


def _tell(product: str, verb: Verb, reason: str, json: bool) -> None:
    from deployments import wiring
    from deployments.access_control.principal import at_command_line
    from deployments.clock import SystemClock
    from tasks.rollout_engine.command_submission import place_order
    from tasks.wait_progress import telling_of_order

    console.show_progress(quiet=json)
    name, journal = name_of(product), wiring.journal()
    reply = place_order(name, verb, at_command_line(), reason, journal, telling_of_order(name, journal, SystemClock()))
    if json:
        console.print_json(reply.document())
        return
    console.say(reply.sentence())
