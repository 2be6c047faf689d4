"""A change of specs, tried before it is merged: nothing of the platform is needed, and nothing of it is touched."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.entrypoints import console
from flows.entrypoints.cli.options import Json

if TYPE_CHECKING:
    from deployments.settings import Settings
    from tasks.ci.changed_specs import Candidate

app = typer.Typer()
_PANEL = "A product's spec"


@app.command(rich_help_panel=_PANEL)
def ci(  # noqa: PLR0913, PLR0917 - a command has as many options as there are questions
    specs: Annotated[
        list[str] | None, typer.Argument(help="names of products, or paths of specs", metavar="[PRODUCT]...")
    ] = None,
    base: Annotated[
        str | None, typer.Option("--base", metavar="REF", help="only specs that changed since they left this branch")
    ] = None,
    sample: Annotated[
        str, typer.Option(metavar="SIZE", help="rows to train and judge on: a number, a share such as 10%, or all")
    ] = "10000",
    against: Annotated[
        str | None,
        typer.Option(metavar="URI", help="MLflow whose champions are compared with, or none; its own one without it"),
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="the report as Markdown, for a comment")] = None,
    names: Annotated[bool, typer.Option("--list", help="print the names of the products, and try nothing")] = False,
    json: Json = False,
) -> None:
    """Try specs as a change would release them: lint, what differs from a base, data, training on a sample, the gate.

    Needs no platform and touches none: no registry, no journal, no traffic; nothing is left behind. Ends with 0, with 2
    for a broken spec, 3 for one that data or gate refuse, 5 where the data do not answer.

    Example: seatrial ci --base origin/main --sample 10000 --report report.md
    """
    from deployments.clock import SystemClock
    from deployments.errors import BadInput
    from deployments.settings import current
    from tasks.ci.champion import address_of
    from tasks.ci.changed_specs import candidates
    from tasks.ci.git_base import base_of
    from tasks.ci.report import exit_code, to_document, to_markdown
    from tasks.ci.trial import Bench, try_spec
    from tasks.data_validation.gx_process import warm
    from tasks.datasets.sample import parse_sample_size

    settings, size = current(), parse_sample_size(sample)
    if report is not None and not report.parent.is_dir():
        raise BadInput(f"--report: there is no folder {report.parent}: make it, or write somewhere else")
    project = settings.project.resolve()
    since = base_of(project, base) if base else None
    found = candidates(specs or (), since, project, settings.specs_folder)
    if names:
        _list(found, json)
        return
    with _scratch(settings) as bench_settings:
        if found:
            warm()
        bench = Bench(
            bench_settings, size, address_of(against, settings), project, SystemClock(), lambda told: _tell(told, json)
        )
        trials = [try_spec(each, bench) for each in found]
    code = exit_code(trials)
    shown = f"{base} ({since.commit[:12]})" if since and base else ""
    written = to_markdown(trials, shown, since.note if since else "")
    if report is not None:
        report.write_text(written, encoding="utf-8")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(written)
    console.print_json(to_document(trials, since.commit if since else None, code)) if json else console.say(written)
    if code:
        raise typer.Exit(code)


def _list(found: "tuple[Candidate, ...]", json: bool) -> None:
    """Products that can be released: a spec that is gone or broken names none."""
    from deployments.errors import BadInput
    from tasks.spec_file import load_product

    products = []
    for each in found:
        with suppress(BadInput):
            products.append(load_product(each.file).product)
    if json:
        console.print_json(products)
        return
    for name in products:
        console.say(name)


def _tell(told: str, json: bool) -> None:
    if not json:
        console.say_beside(told)


@contextmanager
def _scratch(settings: "Settings") -> "Iterator[Settings]":
    """Settings with a home, an MLflow and keys of their own, which are gone after the block, as all temporary files."""
    before = os.environ.get("TMPDIR"), tempfile.tempdir, sys.dont_write_bytecode
    with tempfile.TemporaryDirectory(prefix="seatrial-ci-", ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        (place / "tmp").mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(place / "tmp")
        sys.dont_write_bytecode = True  # of the user's own modules
        own = {"home": place / "home", "tracking_uri": None, "journal_url": None, "keys": None}
        try:
            yield settings.model_copy(update=own)
        finally:
            os.environ.pop("TMPDIR")
            tmpdir, tempfile.tempdir, sys.dont_write_bytecode = before
            if tmpdir is not None:
                os.environ["TMPDIR"] = tmpdir
