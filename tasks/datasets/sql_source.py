"""Rows of a SQL query. The database's address comes from an environment variable and is shown to nobody."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from deployments.errors import BadData, SourceUnreachable
from deployments.redaction import without_secrets
from tasks.product_spec import Source

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_BUSY = ("database is locked", "database table is locked")
# Classes of SQLSTATE: data exceptions and violated constraints, whose messages quote values.
_ABOUT_VALUES = ("22", "23")
_BEFORE_A_VALUE = re.compile(r"[:=]?\s*[\"'(\n]")


def read_query(source: Source) -> pa.Table:
    """The rows that `source.sql` selects, read in a transaction that is never committed.

    Raises `SourceUnreachable` if the database does not answer or is locked, and `BadData` for a missing or malformed
    address, a missing driver, a query that the database refuses, or a column whose values share no type.
    """
    from sqlalchemy import exc

    variable, query = source.connection_env or "", source.sql or ""
    address = _address(variable)
    engine = _engine(address, variable)
    try:
        with closing(_connect(engine, address, variable)) as connection:
            result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
            names, rows = list(result.keys()), result.fetchall()
    # A chained error would carry the query's parameters and the driver's own words about the connection.
    except exc.ResourceClosedError:
        raise BadData(f"the query on ${variable} returns no rows: data.source.sql must be a SELECT") from None
    except exc.SQLAlchemyError as error:
        raise _refusal(error, address, variable) from None
    finally:
        engine.dispose()
    return pa.table([_column(name, values, variable) for name, values in _columns(names, rows)], names=names)


def _address(variable: str) -> str:
    address = os.environ.get(variable, "").strip()
    if not address:
        raise BadData(f"{variable} is not set in the environment: put the URL of the database there")
    return address


def _engine(address: str, variable: str) -> "Engine":
    import sqlalchemy

    try:
        url = sqlalchemy.make_url(address)
        _check_file(url, variable)
        return sqlalchemy.create_engine(url)
    except sqlalchemy.exc.NoSuchModuleError:
        raise BadData(f"${variable} names a kind of database that is not known: check what stands before ://") from None
    except ImportError as error:
        raise BadData(f"${variable} needs the driver {error.name or 'it names'}: install it beside Seatrial") from None
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise BadData(f"${variable} holds no database URL: write dialect://user:password@host/name") from None


def _check_file(url: Any, variable: str) -> None:
    """SQLite makes an empty database of every wrong path."""
    name = url.database or ""
    if url.get_backend_name() != "sqlite" or name in {"", ":memory:"} or name.startswith("file:"):
        return
    if not Path(name).is_file():
        raise BadData(f"there is no SQLite database {name}: check ${variable}")


def _connect(engine: "Engine", address: str, variable: str) -> "Connection":
    from sqlalchemy import exc

    try:
        return engine.connect()
    except (exc.SQLAlchemyError, OSError) as error:
        problem = f"the database of ${variable} does not answer ({_said(error, address)})"
        raise SourceUnreachable(f"{problem}: check that it runs and lets you in, then run again") from None


def _refusal(error: Exception, address: str, variable: str) -> BadData | SourceUnreachable:
    said = _said(error, address)
    if getattr(error, "connection_invalidated", False) or said.startswith(_BUSY):
        return SourceUnreachable(f"the database of ${variable} broke off the query ({said}): run again")
    return BadData(f"the database of ${variable} refuses the query ({said}): correct data.source.sql")


def _said(error: Exception, address: str) -> str:
    """The driver's own words, at most 300 characters, without the address, its secrets, and a cell that is quoted."""
    original = getattr(error, "orig", None) or error
    said = without_secrets(str(original), address).strip()
    if str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")[:2] in _ABOUT_VALUES:
        said = _BEFORE_A_VALUE.split(said, maxsplit=1)[0]
    return said[:300]


def _columns(names: Sequence[str], rows: Sequence[Any]) -> Iterator[tuple[str, Sequence[Any]]]:
    columns = zip(*rows, strict=True) if rows else ([] for _ in names)
    yield from zip(names, columns, strict=True)


def _column(name: str, values: Sequence[Any], variable: str) -> pa.Array:
    try:
        return typed(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        kinds = ", ".join(sorted({type(value).__name__ for value in values if value is not None}))
        problem = f"column {name!r} of the query on ${variable} holds {kinds}"
        raise BadData(f"{problem}: CAST it to one type in data.source.sql") from None


def typed(values: Sequence[Any]) -> pa.Array:
    """A column of Python's values, as a driver gives them.

    Decimal numbers are floats, unless they are whole and a float would lose a digit of one.
    """
    if any(isinstance(value, Decimal) for value in values):
        as_kept = int if _are_long_and_whole(values) else float
        values = [as_kept(value) if isinstance(value, Decimal) else value for value in values]
    try:
        return pa.array(values)
    except OverflowError:
        return pa.array(values, pa.uint64())


def _are_long_and_whole(values: Sequence[Any]) -> bool:
    numbers = [value for value in values if isinstance(value, Decimal)]
    whole = all(number.is_finite() and number == number.to_integral_value() for number in numbers)
    return whole and 2**53 < max(map(abs, numbers)) < 2**64
