"""The commands that bring a version to traffic: they start a flow, here or at the platform's worker."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.clock import SystemClock
from deployments.errors import NotFound, SeatrialError
from deployments.settings import current
from deployments.spec import Strategy
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json, Product, enter_platform, name_of, run_in_preforked_process
from tasks.signals import PRESENT, CommandInterruptedError

app = typer.Typer()
COMMANDS = frozenset({"release", "retry", "rollback"})
_PANEL = "Traffic"
ByStrategy = Annotated[Strategy | None, typer.Option(help="instead of the spec's rollout.strategy")]


@app.command(rich_help_panel=_PANEL)
def release(
    product: Product,
    strategy: ByStrategy = None,
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
    """Train and roll out, if data and model are good enough. Works with and without `seatrial up`.

    Strategies: rolling (all traffic, server by server), blue_green (all at once, after checks at a preview address),
    canary (step by step, judged), ab (a fixed share, compared), shadow (mirrored requests, compared; nobody meets it).

    Example: seatrial release flights --strategy canary
    """
    if not detach:
        run_in_preforked_process(product)
    from tasks.data_validation.gx_process import warm
    from tasks.spec_file import parse_window

    path = _checked(product, strategy, trains=True)  # what is wrong is refused before anything is started
    if window:
        parse_window(window)
    if not detach:
        warm()
        import skops.io  # noqa: F401 - before Prefect: it looks through every module that is there
    server_answers = enter_platform(needs_server=detach)
    from flows.parameters import ReleaseRequest

    request = ReleaseRequest(product=str(path), strategy=strategy, window=window, replicas=replicas)
    if detach:
        request = request.model_copy(update={"product": _for_worker(product)})
        from flows.submission import run_detached

        deployment = f"release/{name_of(str(path))}"
        try:
            run = run_detached(deployment, request)
        except NotFound:  # its spec is younger than the last `seatrial up`
            from flows.deployment_apply import bring_one

            bring_one(path, request.product, current())
            run = run_detached(deployment, request)
        console.print_json(run) if json else console.say(f"started {run['name']}: {run['page']}")
        return
    from flows.release import release as flow

    server_answers()
    _run(flow, request, path, json)


@app.command(rich_help_panel=_PANEL)
def retry(
    product: Product,
    version: Annotated[
        int | None, typer.Option(min=1, help="the newest that was refused or never finished, without it")
    ] = None,
    strategy: ByStrategy = None,
    json: Json = False,
) -> None:
    """Roll out a registered version again, without training. What was seen of it beside this champion counts again.

    Example: seatrial retry flights --version 3 --strategy shadow
    """
    run_in_preforked_process(product)
    path = _checked(product, strategy)
    _check_released(path, product)
    server_answers = enter_platform()
    from flows.parameters import RetryRequest
    from flows.retry import retry as flow

    server_answers()
    _run(flow, RetryRequest(product=str(path), version=version, strategy=strategy), path, json)


@app.command(rich_help_panel=_PANEL)
def rollback(
    product: Product,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="version; without it the champion before the present one")
    ] = None,
    json: Json = False,
) -> None:
    """Bring the former champion back to all traffic. While a rollout is under way: end it, the champion serves on.

    Examples: seatrial rollback flights · seatrial rollback flights --to 2
    """
    run_in_preforked_process(product)
    path = _checked(product, None)
    _check_released(path, product)
    server_answers = enter_platform()
    from flows.parameters import RollbackRequest
    from flows.rollback import rollback as flow

    server_answers()
    _run(flow, RollbackRequest(product=str(path), version=to), path, json)


def _checked(product: str, strategy: Strategy | None, *, trains: bool = False) -> Path:
    """The file of the spec, once it is known to be well formed and available."""
    from tasks.execution.fit_location import check_installed
    from tasks.spec_file import check_available, find_spec, load_product

    path = find_spec(product, current().specs_folder)
    spec = load_product(path)
    if trains:
        check_installed(spec.execution)
    if strategy:
        check_available(spec.rollout.model_copy(update={"strategy": strategy}))
    return path


def _check_released(spec: Path, called: str) -> None:
    """Raises `NotFound` for a product that has no version and no rollout, before a gateway is started to say so."""
    from deployments import wiring

    settings, product = current(), name_of(str(spec))
    kept = settings.home.is_dir() or settings.journal_url or settings.tracking_uri
    if not kept or not (wiring.journal().rollouts(product) or wiring.registry().versions(product)):
        raise NotFound(f"{product} was never released here: `seatrial release {called}` makes its first version")


def _for_worker(product: str) -> str:
    """As a run of the worker may name it. Raises `BadInput` for a spec that lies elsewhere."""
    from tasks.allowed_spec_paths import within

    return within(product, current().specs_folder)


def _run(flow: Any, request: Any, spec: Path, json: bool) -> None:
    from flows.submission import run_here

    console.show_progress(quiet=json)
    product, since = name_of(str(spec)), SystemClock().now()
    try:
        result = run_here(flow, request)
    except BaseException as error:
        cause = PRESENT.cause(error)
        if cause is error and isinstance(error, Exception):
            result = _result_without_run(product, since, error)
            if result is None:
                raise
            _tell_result(result, json)
            return
        if isinstance(error, SeatrialError):  # beside the interruption something was amiss
            console.fail(str(error), error.exit_code)
        from flows.entrypoints.cli.interruption_hint import after_interruption

        raise CommandInterruptedError(after_interruption(product, since)) from error
    _tell_result(result, json)


def _result_without_run(product: str, since: datetime, error: Exception) -> Any:
    """What the journal says of a rollout that is over, where Prefect only lost its run; None for any other error.

    Raises `RolloutFailed` for one that was given up.
    """
    from deployments import wiring
    from tasks.prefect_runs import run_is_gone
    from tasks.rollout_steps import result_of

    if not run_is_gone(error):
        return None
    begun = [state for state in wiring.journal().rollouts(product) if state.started_at >= since]
    return result_of(begun[0]) if begun and not begun[0].live else None


def _tell_result(result: Any, json: bool) -> None:
    if json:
        console.print_json(result.document())
        return
    console.say(result.sentence())
