"""A product's log day by day, oldest or newest first: all versions with the same columns, whatever each of them has."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from deployments.inference_log_reader.location import open_filesystem
from deployments.inference_log_reader.reader import dataset_of, listed, reread_when_parts_vanish

if TYPE_CHECKING:
    import pyarrow as pa

_PART: Final = re.compile(r".*/version=(\d+)/date=(\d{4}-\d{2}-\d{2})/part-[^/]+\.parquet")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: of one version or all, from a moment on or all, and at most so many of the newest."""

    version: int | None = None
    since: datetime | None = None
    last: int | None = None


def logged_rows(folder: str, product: str, wanted: Wanted) -> Iterator["pa.Table"]:
    """The rows that are wanted, a table a day, each and all in the order of their times; nothing for an empty log.

    All tables have the same columns; a feature that a version does not have is null there. The newest rows are found
    without reading older days.
    """
    days = reread_when_parts_vanish(lambda: _days(folder, product, wanted))
    schema = reread_when_parts_vanish(lambda: _schema(folder, days))
    if wanted.last is None:
        for day in sorted(days):
            yield from _not_empty(_day(folder, days[day], schema, wanted))
        return
    newest: list[pa.Table] = []
    missing = wanted.last
    for day in sorted(days, reverse=True):
        if missing <= 0:
            break
        table = _day(folder, days[day], schema, wanted)
        table = table.slice(max(0, table.num_rows - missing))
        missing -= table.num_rows
        newest.append(table)
    for table in reversed(newest):
        yield from _not_empty(table)


def _days(folder: str, product: str, wanted: Wanted) -> dict[date, list[str]]:
    """Parts by day; those of days before the wanted time are not listed."""
    system, root = open_filesystem(folder)
    since = wanted.since.astimezone(UTC).date() if wanted.since else date.min
    found: dict[date, list[str]] = {}
    for version in listed(system, f"{root}/product={product}"):
        if wanted.version is not None and not version.endswith(f"/version={wanted.version}"):
            continue
        for day in listed(system, version):
            for path in listed(system, day):
                if (match := _PART.fullmatch(path)) and date.fromisoformat(match[2]) >= since:
                    found.setdefault(date.fromisoformat(match[2]), []).append(path)
    return found


def _schema(folder: str, days: dict[date, list[str]]) -> "pa.Schema":
    import pyarrow as pa

    system, _ = open_filesystem(folder)
    # What one server writes always has the same columns.
    one_a_server = {path.rpartition("-")[0]: path for paths in days.values() for path in paths}.values()
    types: dict[str, list[pa.DataType]] = {}
    for path in one_a_server:
        for field in dataset_of(system, [path]).schema:
            types.setdefault(field.name, []).append(field.type)
    return pa.schema([(name, _common(found)) for name, found in types.items()])


def _common(types: "list[pa.DataType]") -> "pa.DataType":
    """The type that can say what all of them say: text, where a number became a category."""
    import pyarrow as pa

    try:
        schemas = [pa.schema([("one", each)]) for each in types]
        return pa.unify_schemas(schemas, promote_options="permissive").field("one").type
    except pa.ArrowException:
        return pa.string()


def _day(folder: str, paths: list[str], schema: "pa.Schema", wanted: Wanted) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.dataset as ds

    def read() -> "pa.Table":
        system, _ = open_filesystem(folder)
        there = [path for path in sorted(paths) if system.exists(path)]
        only = ds.field("time") >= wanted.since if wanted.since is not None else None
        tables = [_in(schema, dataset_of(system, [path]).to_table(filter=only)) for path in there]
        return pa.concat_tables(tables) if tables else schema.empty_table()

    return reread_when_parts_vanish(read).sort_by("time")


def _in(schema: "pa.Schema", table: "pa.Table") -> "pa.Table":
    """The same rows with all columns of `schema`; null where there was none."""
    import pyarrow as pa

    columns = [
        table.column(field.name).cast(field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _not_empty(table: "pa.Table") -> Iterator["pa.Table"]:
    if table.num_rows:
        yield table
