"""All rows of a data source as one Arrow table: a CSV or Parquet file, an fsspec URL, or a SQL query."""

from collections.abc import Collection

import pyarrow as pa

from deployments.secrets import masked
from tasks.datasets.database import read_query
from tasks.datasets.files import read_file
from tasks.datasets.unused_columns import without_namesakes
from tasks.spec import Source


def read_source(source: Source, used: Collection[str] | None = None) -> pa.Table:
    """Every row and column of `source`, typed as the source types them; in a CSV file the whole file decides each type.

    Raises `SourceUnreachable` if asking again may help, and `BadData` if it cannot: no such file, a wrong delimiter, a
    bad query, two columns of one name. Of the latter only those in `used` (None: all) matter; others are left out.
    """
    table = read_file(source) if source.sql is None else read_query(source)
    return without_namesakes(table, table.column_names if used is None else used, describe(source))


def describe(source: Source) -> str:
    """The source in a few words that hold no secret."""
    return masked(source.path or source.url or "") or f"the query on ${source.connection_env}"
