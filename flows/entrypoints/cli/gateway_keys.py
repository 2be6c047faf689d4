"""Keys by which others ask a product at the gateway: made, listed, revoked."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, name_of

if TYPE_CHECKING:
    from deployments.local_platform.gateway_keys import GatewayKey

app = typer.Typer()
commands = typer.Typer(no_args_is_help=True, help="Let others ask a product at the gateway's public address.")
app.add_typer(commands, name="key", rich_help_panel="The platform")
Name = Annotated[str, typer.Argument(help="whose key it is", metavar="NAME")]


@commands.command()
def create(product: Product, name: Name, json: Json = False) -> None:
    """Make a key for one product. It is shown once, and good at once; others of the product stay good.

    Example: seatrial key create flights shop-frontend
    """
    from deployments.clock import SystemClock
    from deployments.local_platform.gateway_keys import GatewayKeys
    from deployments.local_platform.public_gateway import bring_keys
    from deployments.settings import current

    settings = current()
    settings.private_home()
    made = GatewayKeys(settings.keys_folder).create(name_of(product), name, SystemClock().now())
    bring_keys(settings)
    if json:
        console.print_json(_facts(made) | {"key": made.secret})
        return
    console.say_beside(f"{made.name} may ask {made.product}. The key is shown now and never again:")
    typer.echo(made.secret)
    if settings.public_host is None:
        console.say_beside("Nobody is listened to but this machine: SEATRIAL_PUBLIC_HOST says where others are")


@commands.command("list")
def list_keys(json: Json = False) -> None:
    """The keys of all products, without their secrets.

    Example: seatrial key list
    """
    from deployments.local_platform.gateway_keys import GatewayKeys
    from deployments.settings import current

    found = list(GatewayKeys(current().keys_folder).all())
    if json:
        console.print_json({"keys": list(map(_facts, found))})
    elif found:
        rows = [(each.product, each.name, f"{each.made:%Y-%m-%d %H:%M} UTC") for each in found]
        console.print_table("Keys of the gateway", ("product", "name", "made"), rows)
    else:
        console.say("There is no key yet: `seatrial key create PRODUCT NAME` makes one")


@commands.command()
def revoke(product: Product, name: Name, json: Json = False) -> None:
    """Let a key be good no more, at once.

    Example: seatrial key revoke flights shop-frontend
    """
    from deployments.local_platform.gateway_keys import GatewayKeys
    from deployments.local_platform.public_gateway import bring_keys
    from deployments.settings import current

    settings = current()
    gone = GatewayKeys(settings.keys_folder).revoke(name_of(product), name)
    bring_keys(settings)
    if json:
        console.print_json(_facts(gone))
    else:
        console.say(f"the key {gone.name} of {gone.product} is good no more")


def _facts(key: "GatewayKey") -> dict[str, Any]:
    return {"product": key.product, "name": key.name, "made": key.made}
