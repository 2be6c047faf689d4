"""The platform on this machine: start it, end it, look at it."""

from typing import Annotated

import typer

from deployments.errors import PlatformUnreachable
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, look_in_preforked_process, name_of

app = typer.Typer()
_PANEL = "The platform"


@app.command(rich_help_panel=_PANEL)
def up(json: Json = False) -> None:
    """Start the platform on this machine: gateway, Prefect, MLflow. Doing it twice does no harm.

    Example: seatrial up --json
    """
    from deployments.local_platform.lifecycle import up as start
    from deployments.settings import current

    if not json:
        console.err().print("Starting the platform (the first time takes about half a minute)")
    addresses = start(current(), console.say_done if not json else lambda _: None)
    if json:
        console.print_json({part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")})
    else:
        console.say_done("pages         `seatrial open` and `seatrial open mlflow` open them logged in")


@app.command(rich_help_panel=_PANEL)
def down(json: Json = False) -> None:
    """End every process of the platform, model servers included. Data, models and records stay.

    A rollout under way is carried on after the next `seatrial up`.

    Example: seatrial down
    """
    from deployments.local_platform.lifecycle import down as end
    from deployments.plurals import counted
    from deployments.settings import current

    names = end(current())
    if json:
        console.print_json({"ended": names})
    else:
        console.say_done(
            f"ended {counted(len(names), 'process', 'processes')}; {current().home} keeps data, models and records"
        )


@app.command(rich_help_panel=_PANEL)
def status(
    product: Annotated[str | None, typer.Argument(help="one product; all of them without it")] = None,
    json: Json = False,
) -> None:
    """What is up, which version of each product serves which share of traffic, and which rollouts are under way.

    Example: seatrial status flights --json
    """
    look_in_preforked_process()
    from flows.entrypoints.cli.status import print_status, status_report

    report = status_report(product and name_of(product))
    console.print_json(report) if json else print_status(report)
    elsewhere = {each["target"] for each in report["products"].values()} == {"kubernetes"}
    if report["platform"]["gateway"] is None and not elsewhere:
        raise PlatformUnreachable("the gateway is not up: start it with `seatrial up`")


@app.command(rich_help_panel=_PANEL)
def repair(
    product: Product,
    vouch: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="VERSION",
            help="seal this version as the registry holds it now: you know that nobody put it there but Seatrial",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Make the registry say again what is true: names, tags, statuses and seals as journal and traffic have them.

    For after somebody edited MLflow by hand (`seatrial status` shows what differs), lost the key of the seals, or came
    from a Seatrial that knew none. No traffic moves.

    Example: seatrial repair flights
    """
    from flows.entrypoints.cli.repair import print_repair, repair_report

    report = repair_report(name_of(product), vouch, product)
    console.print_json(report) if json else print_repair(report)


@app.command(rich_help_panel=_PANEL)
def doctor(
    mend: Annotated[bool, typer.Option("--mend", help="take from others what they may do in the home")] = False,
    json: Json = False,
) -> None:
    """Look for what other accounts of this machine may read or change: home, databases, snapshots, keys, sockets.

    Ends with 1 while there is any. Homes of earlier releases kept the mode that they were made with.

    Example: seatrial doctor --mend
    """
    from flows.entrypoints.cli.doctor import doctor_report, print_doctor

    report = doctor_report(mend)
    console.print_json(report) if json else print_doctor(report)
    if report["exposed"]:
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def history(
    product: Annotated[str | None, typer.Argument(help="one product; all of them without it")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many entries, newest last")] = 40,
    json: Json = False,
) -> None:
    """What was decided and done, when, and why.

    Example: seatrial history flights --limit 100
    """
    from deployments import wiring
    from flows.entrypoints.cli.history import print_history
    from flows.reports.history import history_report

    report = history_report(wiring.journal(), product and name_of(product), limit)
    console.print_json(report) if json else print_history(report)


@app.command(rich_help_panel=_PANEL)
def logs(
    name: Annotated[
        str | None, typer.Argument(help="a process, such as gateway or model-flights-v1-0; a list without it")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="how many of the last lines")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as lines come; Ctrl-C ends it")] = False,
) -> None:
    """Show the log of a process of the platform.

    Example: seatrial logs gateway --lines 200 --follow
    """
    from flows.entrypoints.cli.process_logs import follow_log, last_lines, log_names

    if name is None:
        for known in log_names():
            console.line(known)
        return
    for line in last_lines(name, lines):
        console.line(line)
    if follow:
        follow_log(name, console.line)
