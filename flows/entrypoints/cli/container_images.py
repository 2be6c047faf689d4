"""Container images with a model baked in."""

from typing import Annotated

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, name_of

app = typer.Typer()
_PANEL = "A cluster"


@app.command(rich_help_panel=_PANEL)
def image(
    product: Product,
    version: Annotated[int, typer.Argument(min=1, help="version of the model", metavar="VERSION")],
    tag: Annotated[
        str | None, typer.Option(help="name of the image; seatrial-PRODUCT:vVERSION without it", metavar="IMAGE")
    ] = None,
    base: Annotated[
        str, typer.Option(help="image that it is built over, made from Seatrial's Dockerfile", metavar="IMAGE")
    ] = "seatrial:latest",
    push: Annotated[bool, typer.Option("--push", help="send it to the registry that its name says")] = False,
    json: Json = False,
) -> None:
    """Build a container image that holds a version's model, with buildah or Docker, and record its digest.

    Example: seatrial image flights 3 --tag registry.example/flights:v3 --push
    """
    from tasks.models.container_image import bake

    name = name_of(product)
    baked = bake(name, version, tag or f"seatrial-{name}:v{version}", base, push)
    console.print_json(baked.document()) if json else console.say(baked.sentence())
