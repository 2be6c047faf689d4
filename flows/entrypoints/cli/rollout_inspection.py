"""The commands that look at one rollout: live, in one screen, and once more from its records."""

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, RolloutId, name_of

app = typer.Typer()
_PANEL = "A rollout under way"


@app.command(rich_help_panel=_PANEL)
def watch(product: Product) -> None:
    """Follow the rollout under way until it ends: exit code 0 when it is done, 4 when it was rolled back.

    Ctrl-C only stops watching; the rollout goes on.

    Example: seatrial watch flights
    """
    from flows.entrypoints.cli.live_screen import follow

    raise typer.Exit(follow(name_of(product)))


@app.command(rich_help_panel=_PANEL)
def explain(product: Product, rollout: RolloutId = None, json: Json = False) -> None:
    """What was asked, seen, decided and ordered in a rollout, and what it still needs: the one under way, or the last.

    Example: seatrial explain flights --rollout 496f
    """
    from flows.entrypoints.cli.explanation import print_explanation
    from flows.reports.evidence import explanation, explanation_report

    found = explanation(name_of(product), rollout)
    console.print_json(explanation_report(found)) if json else print_explanation(found)


@app.command(rich_help_panel=_PANEL)
def replay(product: Product, rollout: RolloutId = None, json: Json = False) -> None:
    """Reach every recorded verdict anew from the recorded counts; exit code 1 if one comes out differently.

    Example: seatrial replay flights --rollout 496f
    """
    from flows.entrypoints.cli.explanation import print_replay
    from flows.reports.evidence import replay_report

    report = replay_report(name_of(product), rollout)
    console.print_json(report) if json else print_replay(report)
    if not report["identical"]:
        raise typer.Exit(1)
