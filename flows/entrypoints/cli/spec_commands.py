"""A product's spec: check it, print its schema, propose its validation suite, show what its rollout would do."""

from datetime import timedelta
from typing import Annotated

import typer

from deployments.spec import Strategy
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product

app = typer.Typer()
_PANEL = "A product's spec"


@app.command(rich_help_panel=_PANEL)
def lint(spec: Product, json: Json = False) -> None:
    """Check a product spec and say everything that is wrong with it. Reads no data, starts nothing.

    Makes the unfitted model (so it imports your module, or calls your factory), and reads the validation suite.

    Example: seatrial lint flights
    """
    from deployments.errors import BadSpec
    from deployments.plurals import counted
    from deployments.settings import current
    from tasks.spec_file import find_spec, load_product
    from tasks.spec_lint import check_spec

    path = find_spec(spec, current().specs_folder)
    try:
        product = load_product(path)
        checked = check_spec(product, current())
        if checked.problems:
            many = counted(len(checked.problems), "problem")
            raise BadSpec("\n".join([f"{path}: {many}", *(f"  {problem}" for problem in checked.problems)]))
    except BadSpec as error:
        if json:
            console.print_json({"spec": path, "ok": False, "problems": str(error).splitlines()[1:] or [str(error)]})
            raise typer.Exit(error.exit_code) from None
        raise
    if json:
        console.print_json({"spec": path, "ok": True, "product": product.product, "notes": checked.notes})
        return
    console.say(f"{path}: product {product.product} is well formed")
    for note in checked.notes:
        console.warn(note)


@app.command(rich_help_panel=_PANEL)
def schema() -> None:
    """Print the JSON schema of a product spec, for your editor.

    Example: seatrial schema > spec.schema.json
    """
    from tasks.spec_file import json_schema

    console.print_json(json_schema())


@app.command(rich_help_panel=_PANEL)
def profile(
    spec: Product,
    write: Annotated[
        bool, typer.Option("--write", help="write the suite beside the spec, if there is none yet")
    ] = False,
) -> None:
    """Propose a first validation suite from the data of a spec, for you to edit; and say what a release would say.

    Also what the spec may declare of the columns that it uses, and how the file is encoded.

    Example: seatrial profile flights --write
    """
    from deployments.settings import current
    from tasks.suite_proposal import propose

    proposal = propose(spec, current())
    for sentence in proposal.warnings:
        console.warn(sentence)
    for sentence in proposal.refusals:
        console.warn(f"a release would be refused: {sentence}")
    if proposal.declared:
        console.say_beside("Say below data in the spec, so that no later file decides what these columns are:")
        for line in proposal.declared:
            console.say_beside(f"  {line}")
    if not write:
        console.print_json(proposal.suite)
        return
    path = proposal.write()
    console.say_done(f"wrote {path}: read it and edit what is not meant so")


@app.command(rich_help_panel=_PANEL)
def plan(
    product: Product,
    strategy: Annotated[Strategy | None, typer.Option(help="instead of the spec's rollout.strategy")] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, help="requests per second to reckon with, instead of measuring them")
    ] = None,
    json: Json = False,
) -> None:
    """Show the steps that a release would take, how long, and how many requests each decision needs. Moves nothing.

    The traffic is measured for 3 s at the gateway. A schedule that cannot come to its end is warned of.

    Example: seatrial plan flights --strategy canary --rate 20
    """
    from flows.entrypoints.cli.plan import print_plan
    from flows.reports.release_plan import look_ahead, plan_report

    ahead = look_ahead(product, strategy, rate, timedelta(seconds=3))
    console.print_json(plan_report(ahead)) if json else print_plan(ahead)
