"""What the command line prints: results to standard output, progress and errors to standard error."""

import json
import logging
import math
import traceback
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deployments.printable import in_lines, in_one_line

# By the last word of an event: what went wrong, what goes on or needs a look, what is done.
_SIGNS: Final = (
    ("[red]✗[/red]", {"refused", "given_up", "failed", "restoring", "rolled_back", "interrupted"}),
    ("[yellow]![/yellow]", {"warning", "left_open", "delayed", "deleted", "tried_again", "holding", "paused"}),
    ("[yellow]…[/yellow]", {"watched", "waiting", "observing", "running", "left_out"}),
    (
        "[green]✓[/green]",
        {"ingested", "validated", "trained", "scored", "passed", "registered", "planned", "step", "done"}
        | {"given", "ended", "recovered", "taken_over", "closed"},
    ),
)


class Terminal(Console):
    """A console whose reader may go away (`| head`, a closed window) without ending what is under way."""

    def on_broken_pipe(self) -> None:
        """Nobody reads any more: what comes is dropped."""
        self.quiet = True


@lru_cache(maxsize=1)
def out() -> Console:
    """Standard output; made at the first use, when the terminal is known."""
    return Console(highlight=False)


@lru_cache(maxsize=1)
def err() -> Console:
    """Standard error."""
    return Terminal(stderr=True, highlight=False)


class Progress(logging.Handler):
    """Prints each event of the `seatrial` logger as one line of progress."""

    def emit(self, record: logging.LogRecord) -> None:
        """One event, one line."""
        event = getattr(record, "event", None)
        if event is None:
            return
        facts: Mapping[str, Any] = getattr(record, "facts", {})
        told = "  ".join(
            f"[dim]{name}[/dim] {_escape(in_one_line(value))}"
            for name, value in facts.items()
            if value not in (None, "")
        )
        err().print(f"{_mark(event)} {event:<22} {told}", soft_wrap=True)


def show_progress(quiet: bool) -> None:
    """Let the events of this process appear on the terminal, unless `quiet`."""
    logger = logging.getLogger("seatrial")
    logger.setLevel(logging.INFO)
    if not quiet:
        logger.addHandler(Progress())


def say(text: str) -> None:
    """Text for people on standard output as it stands: what is in brackets is no markup, whoever wrote it."""
    out().print(in_lines(text), soft_wrap=True, markup=False)


def line(text: str) -> None:
    """One line for people on standard output, never wrapped: it may be long, and be read by `grep`."""
    typer.echo(in_lines(text))


def say_beside(text: str) -> None:
    """One line for people on standard error, where standard output holds a document; never wrapped."""
    typer.echo(in_lines(text), err=True)


def say_done(what: str) -> None:
    """One thing that is done, on standard error."""
    err().print(f"[green]✓[/green] {_escape(what)}", soft_wrap=True)


def warn(text: str) -> None:
    """A warning, on standard error."""
    err().print(f"[yellow]warning:[/yellow] {_escape(text)}", soft_wrap=True)


def print_json(document: object) -> None:
    """One JSON document on standard output; a number that JSON has no word for (NaN, infinity) is null."""
    typer.echo(json.dumps(_sayable(document), indent=2, default=str, allow_nan=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for people; columns keep their order."""
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else _escape(in_one_line(cell)) for cell in row))
    out().print(table)


def fail(message: str, code: int) -> int:
    """Print an error; returns the exit code that it was given."""
    err().print(f"[red]error:[/red] {_escape(message)}", soft_wrap=True)
    return code


def unexpected(error: Exception) -> int:
    """Print what nobody foresaw, with where it happened, as briefly as helps a report; returns exit code 1."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{last.filename}:{last.lineno}"
    return fail(
        f"unexpected {type(error).__name__} at {place}: {error}\nThis is a defect of Seatrial: please report it", 1
    )


def _sayable(document: Any) -> Any:
    match document:
        case dict():
            return {name: _sayable(value) for name, value in document.items()}
        case list() | tuple():
            return [_sayable(value) for value in document]
        case float() if not math.isfinite(document):
            return None
    return document


def _mark(event: str) -> str:
    """A tick only for what is known to be well: an event that is new here gets none."""
    what = event.rpartition(".")[2]
    return next((sign for sign, words in _SIGNS if what in words), "·")


def _escape(value: object) -> str:
    """As it stands: no tag of Rich's, also behind a backslash, which a plain replacement would make one of."""
    text = in_lines(value)
    escaped = escape(text)
    # Rich adds one to a last backslash, against a tag that follows; here none does.
    return escaped[:-1] if text.endswith("\\") and escaped != text and escaped[:-1].endswith("\\") else escaped
