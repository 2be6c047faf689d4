"""Tokens: made for programs and people, listed, revoked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json

if TYPE_CHECKING:
    from deployments.access_control.tokens import Token, Tokens

app = typer.Typer()
commands = typer.Typer(no_args_is_help=True, help="Let programs and people ask for what their role permits.")
app.add_typer(commands, name="token", rich_help_panel="The platform")
_NEVER = "never"


@commands.command()
def create(
    name: Annotated[str, typer.Argument(help="what the history calls whoever shows it", metavar="NAME")],
    role: Annotated[str, typer.Option(help="viewer, operator, approver or admin; each may what those before may")],
    product: Annotated[
        list[str] | None, typer.Option(help="only of this product; may be given again", metavar="PRODUCT")
    ] = None,
    expires: Annotated[str, typer.Option(help="how long it is good, such as 90d, or never")] = "90d",
    json: Json = False,
) -> None:
    """Make a token. It is shown once, and only its digest is kept.

    Example: seatrial token create deploy-bot --role operator --product flights
    """
    from deployments.access_control.principal import at_command_line
    from deployments.access_control.tokens import read_grants
    from deployments.clock import SystemClock
    from deployments.durations import parse_duration
    from deployments.errors import BadInput

    try:
        life = None if expires == _NEVER else parse_duration(expires)
    except ValueError as error:
        raise BadInput(f"--expires: {error}, or {_NEVER}") from None
    grants = read_grants(role, tuple(product or ()))
    with _record() as tokens:
        token, secret = tokens.create(name, grants, at_command_line(), SystemClock().now(), life)
    if json:
        console.print_json(_facts(token) | {"token": secret})
        return
    console.say_beside(f"{token.name} is {_grants(token)}, {_until(token)}. The token is shown now and never again:")
    typer.echo(secret)


@commands.command("list")
def list_tokens(json: Json = False) -> None:
    """All tokens that are good or were, and when each was last used. Their secrets are kept nowhere.

    Example: seatrial token list
    """
    from deployments.clock import SystemClock

    with _record() as tokens:
        found = tokens.all()
    now = SystemClock().now()
    if json:
        console.print_json({"tokens": [_facts(each) | {"good": each.is_good(now)} for each in found]})
        return
    if not found:
        console.say("There is no token yet: `seatrial token create NAME --role viewer` makes one")
        return
    rows = [
        (each.name, each.id, _grants(each), _until(each), f"{each.used:%Y-%m-%d %H:%M} UTC" if each.used else "never")
        for each in found
    ]
    console.print_table("Tokens", ("name", "id", "may", "good", "last used"), rows)


@commands.command()
def revoke(
    token: Annotated[str, typer.Argument(help="its name or id, as `token list` shows them", metavar="TOKEN")],
    json: Json = False,
) -> None:
    """Let a token be good no more, and end the sessions that it began.

    Example: seatrial token revoke deploy-bot
    """
    from deployments.clock import SystemClock

    with _record() as tokens:
        gone = tokens.revoke(token, SystemClock().now())
    if json:
        console.print_json(_facts(gone))
    else:
        console.say(f"{gone.name} ({gone.id}) is good no more")


@contextmanager
def _record() -> "Iterator[Tokens]":
    from contextlib import closing

    from deployments.access_control.tokens import Tokens
    from deployments.settings import current

    settings = current()
    settings.private_home()
    with closing(Tokens(settings.feedback_database)) as tokens:
        yield tokens


def _grants(token: "Token") -> str:
    from deployments.access_control.principal import ALL

    roles = {str(role) for role in token.grants.values()}
    products = sorted(token.grants)
    return f"{', '.join(sorted(roles))} of {'all products' if products == [ALL] else ', '.join(products)}"


def _until(token: "Token") -> str:
    if token.revoked is not None:
        return f"until {token.revoked:%Y-%m-%d %H:%M} UTC, when it was revoked"
    return "until it is revoked" if token.expires is None else f"until {token.expires:%Y-%m-%d %H:%M} UTC"


def _facts(token: "Token") -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "grants": dict(token.grants),
        "made_by": token.made_by,
        "made": token.made,
        "expires": token.expires,
        "revoked": token.revoked,
        "used": token.used,
    }
