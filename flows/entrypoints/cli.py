"""`seatrial`: start the platform, release, look, roll back.

Exit codes: 0 done · 1 something broke · 2 bad input · 3 refused by validation or gate · 4 the rollout failed and was
rolled back · 5 the platform is not reachable · 130 interrupted.
"""

import os
import sys
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from deployments.errors import PlatformUnreachable, SeatrialError
from deployments.spec import Strategy
from flows.entrypoints import console

app = typer.Typer(
    help="Takes a machine-learning model from data to live traffic, and back on the first honest evidence of harm.",
    epilog="Exit codes: 0 done, 1 something broke, 2 bad input, 3 refused by validation or gate, "
    "4 rollout failed and was rolled back, 5 platform not reachable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
UsageError: Any = typer.BadParameter.__mro__[2]  # typer gives the base class of its usage errors no public name
_INTERRUPTED = 130
Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output instead of text")]
Product = Annotated[str, typer.Argument(help="name of a product in specs/, or the path of a spec", metavar="PRODUCT")]


@app.command()
def up(json: Json = False) -> None:
    """Start the platform on this machine: gateway, Prefect, MLflow. Doing it twice does no harm."""
    from deployments.platform.local import up as start
    from deployments.settings import current

    console.err().print("Starting the platform (the first time takes about half a minute)")
    addresses = start(current(), lambda line: console.err().print(f"[green]✓[/green] {line}", soft_wrap=True))
    if json:
        console.print_json({part: addresses.url(part) for part in ("gateway", "prefect", "mlflow")})


@app.command()
def down(json: Json = False) -> None:
    """End every process of the platform, model servers included. Data, models and records stay."""
    from deployments.platform.local import down as end
    from deployments.settings import current

    names = end(current())
    if json:
        console.print_json({"ended": names})
    else:
        console.err().print(f"Ended {len(names)} processes; {current().home} keeps data, models and records")


@app.command()
def lint(spec: Product, json: Json = False) -> None:
    """Check a product spec and say everything that is wrong with it. Reads nothing else, starts nothing."""
    from deployments.errors import BadSpec
    from deployments.settings import current
    from tasks.spec_file import find_spec, load_product

    path = find_spec(spec, current().specs_folder)
    try:
        product = load_product(path)
    except BadSpec as error:
        if json:
            console.print_json({"spec": path, "ok": False, "problems": str(error).splitlines()[1:] or [str(error)]})
            raise typer.Exit(error.exit_code) from None
        raise
    if json:
        console.print_json({"spec": path, "ok": True, "product": product.product})
    else:
        console.out().print(f"{path}: product {product.product} is well formed")


@app.command()
def schema() -> None:
    """Print the JSON schema of a product spec, for your editor."""
    from tasks.spec_file import json_schema

    console.print_json(json_schema())


@app.command()
def profile(
    spec: Product,
    write: Annotated[
        bool, typer.Option("--write", help="write the suite beside the spec, if there is none yet")
    ] = False,
) -> None:
    """Propose a first validation suite from the data of a spec, for you to edit."""
    from deployments.settings import current
    from tasks.profiling import propose

    proposal = propose(spec, current())
    if not write:
        console.print_json(proposal.suite)
        return
    path = proposal.write()
    console.err().print(f"[green]✓[/green] wrote {path}: read it and edit what is not meant so", soft_wrap=True)


@app.command()
def release(
    product: Product,
    strategy: Annotated[Strategy | None, typer.Option(help="instead of the spec's rollout.strategy")] = None,
    window: Annotated[
        str | None,
        typer.Option(
            help="instead of the spec's data.window: START..END or a length such as 60d", metavar="START..END"
        ),
    ] = None,
    replicas: Annotated[int | None, typer.Option(min=1, max=32, help="instead of the spec's rollout.replicas")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="let the platform's worker do it, and return at once")
    ] = False,
    json: Json = False,
) -> None:
    """Train and roll out, if data and model are good enough. Works with and without `seatrial up`."""
    from deployments.settings import current

    if not detach:
        _hand_to_warm_process()
    from tasks.spec_file import check_available, find_spec, load_product, parse_window
    from tasks.suites.child import warm

    path = find_spec(product, current().specs_folder)
    spec = load_product(path)  # what is wrong is refused before anything is started
    if strategy:
        check_available(spec.rollout.model_copy(update={"strategy": strategy}))
    if window:
        parse_window(window)
    if not detach:
        warm()
        import skops.io  # noqa: F401 - before Prefect: it looks through every module that is there
    _enter_platform(needs_server=detach)
    from flows.requests import ReleaseRequest
    from flows.starting import run_detached, run_here

    request = ReleaseRequest(product=str(path), strategy=strategy, window=window, replicas=replicas)
    if detach:
        run = run_detached("release/release", request)
        console.print_json(run) if json else console.out().print(
            f"started {run['name']}: {run['page']}", soft_wrap=True
        )
        return
    from flows.release import release as flow

    console.show_progress(quiet=json)
    result = run_here(flow, request)
    if json:
        console.print_json(result.document())
        return
    console.out().print(result.sentence(), soft_wrap=True)


@app.command()
def rollback(
    product: Product,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="version; without it the champion before the present one")
    ] = None,
    json: Json = False,
) -> None:
    """Bring the former champion back to all traffic."""
    from deployments.settings import current

    _hand_to_warm_process()
    from tasks.spec_file import find_spec, load_product

    path = find_spec(product, current().specs_folder)
    load_product(path)
    _enter_platform()
    from flows.requests import RollbackRequest
    from flows.rollback import rollback as flow
    from flows.starting import run_here

    console.show_progress(quiet=json)
    result = run_here(flow, RollbackRequest(product=str(path), version=to))
    if json:
        console.print_json(result.document())
        return
    console.out().print(result.sentence(), soft_wrap=True)


@app.command()
def status(
    product: Annotated[str | None, typer.Argument(help="one product; all of them without it")] = None,
    json: Json = False,
) -> None:
    """What is up, and which version of each product serves which share of traffic."""
    from flows.entrypoints.reports import print_status, status_report

    report = status_report(product)
    console.print_json(report) if json else print_status(report)
    if report["platform"]["gateway"] is None:
        raise PlatformUnreachable("the gateway is not up: start it with `seatrial up`")


@app.command()
def history(
    product: Annotated[str | None, typer.Argument(help="one product; all of them without it")] = None,
    limit: Annotated[int, typer.Option(min=1, help="how many entries, newest last")] = 40,
    json: Json = False,
) -> None:
    """What was decided and done, when, and why."""
    from flows.entrypoints.reports import history_report, print_history

    report = history_report(product, limit)
    console.print_json(report) if json else print_history(report)


@app.command()
def logs(
    name: Annotated[
        str | None, typer.Argument(help="a process, such as gateway or model-flights-v1-0; a list without it")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="how many of the last lines")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on as lines come; Ctrl-C ends it")] = False,
) -> None:
    """Show the log of a process of the platform."""
    from flows.entrypoints.logs import follow_log, last_lines, log_names

    if name is None:
        for known in log_names():
            typer.echo(known)
        return
    for line in last_lines(name, lines):
        typer.echo(line)
    if follow:
        follow_log(name, typer.echo)


def main() -> None:
    """Run the command line; every error that Seatrial raises on purpose becomes one line and its exit code."""
    code = run()
    if code == _INTERRUPTED:
        console.fail("interrupted: traffic is as before (`seatrial status` shows it)", code)
    sys.exit(code)


def run() -> int:
    """Run the command line over `sys.argv`; returns the exit code, of an interruption without a word about it."""
    try:
        code = app(standalone_mode=False)
    except SeatrialError as error:
        return console.fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _INTERRUPTED
    except UsageError as error:
        error.show()
        return int(error.exit_code)
    except ValidationError as error:
        return console.fail(
            "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()), 2
        )
    except Exception as error:  # noqa: BLE001 - the edge of the process
        return console.unexpected(error)
    return code if isinstance(code, int) else 0


def _hand_to_warm_process() -> None:
    """Let a fork of the platform's warm process do all of it, if there is one; then this process has only to end."""
    from deployments.settings import current
    from flows.entrypoints.warm import run_warm

    if (code := run_warm(current(), sys.argv[1:])) is not None:
        raise typer.Exit(code)


def _enter_platform(needs_server: bool = False) -> None:
    """Point this process at the platform if it is up, before Prefect is imported and reads its settings."""
    from deployments.platform.environment import environment
    from deployments.platform.local import live_addresses
    from deployments.settings import current

    settings = current()
    addresses = live_addresses(settings)
    if needs_server and addresses.prefect is None:
        raise PlatformUnreachable("the Prefect server is not up: start it with `seatrial up`")
    os.environ.update(environment(settings, addresses))


if __name__ == "__main__":
    main()
