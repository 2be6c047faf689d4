"""`seatrial log`: what the servers of a product answered, row by row, for a terminal, a file or a pipe."""

import json as json_lines
import os
import sys
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.printable import in_one_line
from flows.entrypoints.cli.options import Product, name_of

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer()


class LogFormat(StrEnum):
    """How rows are written."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@app.command(rich_help_panel="The platform")
def log(
    product: Product,
    since: Annotated[
        str | None, typer.Option(help="a moment (UTC) such as 2026-03-01T12:00, or how long ago, such as 2h")
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="only so many of the newest rows")] = None,
    version: Annotated[int | None, typer.Option(min=1, help="only what this version answered")] = None,
    format: Annotated[LogFormat, typer.Option(help="of the rows on standard output")] = LogFormat.CSV,  # noqa: A002
) -> None:
    """Write what a product's servers were asked and answered: one row a prediction, oldest first.

    Examples: seatrial log flights --last 5 · seatrial log flights --since 1d --format parquet > answers.parquet
    """
    from deployments.clock import SystemClock
    from deployments.errors import BadInput, NotFound
    from deployments.inference_log_reader.by_day import Wanted, logged_rows
    from deployments.wiring import inference_log_of, journal

    if format is LogFormat.PARQUET and sys.stdout.isatty():
        raise BadInput("Parquet is nothing for a terminal: write it to a file, with > answers.parquet")
    name = name_of(product)
    wanted = Wanted(version, moment(since, SystemClock().now()) if since else None, last)
    tables = some(logged_rows(inference_log_of(name).folder, name, wanted))
    if tables is None:
        if not journal().rollouts(name):
            raise NotFound(f"{name!r} was never released here: `seatrial products` shows what was")
        return
    write(tables, format)


def moment(text: str, now: datetime) -> datetime:
    """A moment in UTC, from ISO 8601 or a duration before `now`. Raises `BadInput`."""
    from datetime import UTC

    from deployments.durations import parse_duration
    from deployments.errors import BadInput

    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found
    except ValueError:
        pass
    try:
        return now - parse_duration(text)
    except (ValueError, OverflowError):
        raise BadInput(
            f"--since {text!r}: write a moment such as 2026-03-01T12:00, or how long ago, such as 2h"
        ) from None


def some(tables: Iterable["pa.Table"]) -> "Iterable[pa.Table] | None":
    """The same tables; None if there is none."""
    from itertools import chain

    rest = iter(tables)
    first = next(rest, None)
    return None if first is None else chain([first], rest)


def write(tables: Iterable["pa.Table"], format: LogFormat) -> None:  # noqa: A002
    """To standard output, a day at a time."""
    try:
        match format:
            case LogFormat.JSONL:
                _write_jsonl(tables)
            case LogFormat.CSV:
                _write_csv(tables)
            case LogFormat.PARQUET:
                _write_parquet(tables)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`: nobody reads any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_jsonl(tables: Iterable["pa.Table"]) -> None:
    for table in tables:
        for row in table.to_pylist():
            sys.stdout.write(json_lines.dumps(row, default=str, ensure_ascii=sys.stdout.isatty()) + "\n")


def _write_csv(tables: Iterable["pa.Table"]) -> None:
    """A list, such as scores, is written as JSON."""
    import csv

    writer: Any = None
    for table in tables:
        for row in table.to_pylist():
            if writer is None:
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(row)
            writer.writerow(_cell(value) for value in row.values())


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | dict():
            return json_lines.dumps(value)
        case datetime():
            return value.isoformat()
        case str() if sys.stdout.isatty():
            return in_one_line(value)  # somebody else's text must not steer the terminal
    return value


def _write_parquet(tables: Iterable["pa.Table"]) -> None:
    import pyarrow.parquet as pq

    writer: Any = None
    for table in tables:
        writer = writer or pq.ParquetWriter(sys.stdout.buffer, table.schema, compression="zstd")
        writer.write_table(table)
    writer.close()
