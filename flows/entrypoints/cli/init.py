"""`seatrial init`: a product's spec and suite from a file of rows, by options, and by questions where somebody is.

What is not given is proposed. Only the target cannot be guessed: without a terminal it must be named.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.errors import BadInput
from deployments.plurals import counted
from deployments.printable import in_one_line
from deployments.settings import current
from flows.entrypoints import console
from flows.entrypoints.cli.options import Json
from tasks.problem_types import TaskKind

app = typer.Typer()
_PANEL = "A product's spec"
_MOST_SHOWN = 30
_NONE = "none"


@app.command(rich_help_panel=_PANEL)
def init(  # noqa: PLR0913, PLR0917 - a command has as many options as there are questions
    data: Annotated[str, typer.Argument(help="a CSV or Parquet file, or a URL of one", metavar="FILE")],
    target: Annotated[str | None, typer.Option(help="the column to predict", metavar="COLUMN")] = None,
    time: Annotated[
        str | None, typer.Option(help="the column that says when a row happened; '' for none", metavar="COLUMN")
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="a column of the key that tells rows apart, once for each; '' for none", metavar="COLUMN"),
    ] = None,
    name: Annotated[str | None, typer.Option(help="of the product; else that of the file", metavar="PRODUCT")] = None,
    task: Annotated[TaskKind | None, typer.Option(help="what is predicted; else by the target's values")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="ask nothing, take what is proposed")] = False,
    json: Json = False,
) -> None:
    """Make a product of a file of rows: write its spec and its validation suite, check them, and show the first plan.

    A model is fitted once, to know what the gate may ask. Nothing that is there is replaced; Ctrl-C leaves nothing.

    Example: seatrial init bookings.csv --target cancelled --time booked_at
    """
    from tasks.scaffolding.product_draft import Wish, check_free, draft
    from tasks.scaffolding.read_rows import read_rows

    asks = not (yes or json) and sys.stdin.isatty() and console.err().is_terminal
    settings = current()
    rows = read_rows(data, Path.cwd())
    answers = _Answers(rows, asks)
    chosen = answers.target(target)
    when = answers.time(time, chosen)
    apart = answers.key(key, when, chosen)
    wish = Wish(answers.name(name, data), chosen, when, apart, task)
    check_free(settings.specs_folder / f"{wish.name}.yaml", settings.specs_folder / f"{wish.name}.suite.json")
    if not json:
        console.err().print(
            f"Fitting a first model on {counted(len(rows.frame), 'row')}, to know what the gate may ask"
        )
    made = draft(wish, rows, settings)
    made.write()
    _report_json(made) if json else _report(made, wish.name)


@dataclass(frozen=True, slots=True)
class _Answers:
    """What was given, else what somebody answers, else what is proposed."""

    rows: Any
    asks: bool

    def target(self, given: str | None) -> str:
        """There is no proposal: raises `BadInput` where nobody can be asked."""
        from tasks.scaffolding.column_roles import check_column, described

        if given is not None:
            check_column(given, self.rows, "--target")
            return given
        known = self.rows.table.column_names
        if not self.asks:
            raise BadInput(
                f"which column is to be predicted? Name it with --target (there: {', '.join(map(in_one_line, known))})"
            )
        facts = list(described(self.rows))
        console.print_table("Columns", ("column", "holds", "different values"), facts[:_MOST_SHOWN])
        if len(facts) > _MOST_SHOWN:
            console.say(f"and {len(facts) - _MOST_SHOWN} more")
        return self._column("Which column is to be predicted?", None)

    def time(self, given: str | None, target: str) -> str | None:
        """The only column that can be one is proposed; of several, none where nobody can be asked."""
        from tasks.scaffolding.column_roles import check_time, time_columns

        if given is not None:
            if given:
                check_time(given, self.rows)
            return given or None
        found = [name for name in time_columns(self.rows) if name != target]
        if not self.asks:
            if len(found) > 1:
                raise BadInput(
                    f"which column says when a row happened? Name it with --time (can be: "
                    f"{', '.join(map(in_one_line, found))}), or give --time '' for none"
                )
            return found[0] if found else None
        if not found:
            return None
        answer = self._column(f"Which column says when a row happened ({', '.join(found)})?", found[0], found)
        return None if answer == _NONE else answer

    def key(self, given: list[str] | None, time: str | None, target: str) -> tuple[str, ...]:
        """The first column that looks like an id and tells rows apart is proposed."""
        from tasks.scaffolding.column_roles import check_key, key_columns

        if given is not None:
            names = tuple(name for name in given if name)
            check_key(names, self.rows)
            return names
        found = key_columns(self.rows, time, target)
        if not self.asks:
            return found[:1]
        answer = self._column(
            "Which column tells rows apart?", found[0] if found else _NONE, self.rows.table.column_names
        )
        if answer == _NONE:
            return ()
        check_key((answer,), self.rows)
        return (answer,)

    def name(self, given: str | None, place: str) -> str:
        """Of the product."""
        from tasks.scaffolding.product_draft import name_from

        proposed = given or name_from(place)
        return (
            proposed if given or not self.asks else str(typer.prompt("Name of the product", default=proposed, err=True))
        )

    def _column(self, question: str, default: str | None, among: Any = None) -> str:
        known = among or self.rows.table.column_names
        while True:
            answer = str(
                typer.prompt(
                    question if default is None else f"{question} ({_NONE}: no column)", default=default, err=True
                )
            )
            if answer in known or (default is not None and answer == _NONE):
                return answer
            console.warn(f"there is no such column: {in_one_line(answer)!r}")


def _report_json(made: Any) -> None:
    limits = [
        {"metric": each.metric, each.side: each.limit, "constant": each.constant, "model": each.model}
        for each in made.limits
    ]
    left_out = {each.name: each.why for each in made.left_out}
    console.print_json({"spec": made.spec_file, "suite": made.suite_file, "gate": limits, "left_out": left_out})


def _report(made: Any, name: str) -> None:
    from tasks.scaffolding.baseline_model import each_metric

    for each in made.left_out:
        console.say(f"left out: {in_one_line(each.name) or '(nameless)'}: {in_one_line(each.why)}")
    for sentence in each_metric(made.limits):
        console.say(f"gate: {sentence}")
    if not any(each.beats_constant for each in made.limits):
        console.warn("these columns tell nothing of the target: find others before anybody relies on the model")
    console.say_done(f"wrote {made.spec_file}")
    console.say_done(f"wrote {made.suite_file}")
    _check_and_plan(made.spec_file, name)


def _check_and_plan(spec_file: Path, name: str) -> None:
    """What `lint` and `plan` say of it."""
    from datetime import timedelta

    from flows.entrypoints.cli.plan import print_plan
    from flows.entrypoints.cli.spec_commands import lint
    from flows.reports.release_plan import look_ahead

    lint(str(spec_file))
    print_plan(look_ahead(name, None, None, timedelta(0)))
    console.say(f"Read both files, edit what is not meant so, then: seatrial release {name}")
