"""All rows of a data source as one Arrow table: a CSV or Parquet file, an fsspec URL, or a SQL query."""

from collections.abc import Collection
from typing import Final

import pyarrow as pa

from deployments.redaction import masked
from tasks.datasets.column_types import columns_to_keep_as_text, with_meaning
from tasks.datasets.file_source import Texts, read_file
from tasks.datasets.sql_source import read_query
from tasks.datasets.unused_columns import without_namesakes
from tasks.product_spec import ProductSpec, Source

# No column of anybody's begins so.
TEXT_OF: Final = "\x00text of "


def read_source(source: Source, used: Collection[str] | None = None) -> pa.Table:
    """Every row and column of `source`, typed as the source types them; in a CSV file the whole file decides each type.

    Raises `SourceUnreachable` if asking again may help, and `BadData` if it cannot: no such file, a wrong delimiter, a
    bad query, two columns of one name. Of the latter only those in `used` (None: all) matter; others are left out.
    """
    return _read(source, used=used)[0]


def read_rows(spec: ProductSpec, used: Collection[str]) -> pa.Table:
    """Every row and column of the source of `spec`, as the spec declares and uses the columns. Raises as above.

    Features of a CSV file stand there once more as its text, under their name behind `TEXT_OF`. Raises `BadData` also
    for a value that cannot be read as it is declared.
    """
    table, texts = _read(spec.data.source, columns_to_keep_as_text(spec), used)
    table = with_meaning(table, texts, spec)
    for name in spec.preprocessing.features:
        if name in texts:
            table = table.append_column(TEXT_OF + name, texts[name])
    return table


def _read(source: Source, as_text: Collection[str] = (), used: Collection[str] | None = None) -> tuple[pa.Table, Texts]:
    table, texts = read_file(source, as_text) if source.sql is None else (read_query(source), {})
    return without_namesakes(table, table.column_names if used is None else used, describe(source)), texts


def describe(source: Source) -> str:
    """The source in a few words that hold no secret."""
    return masked(source.path or source.url or "") or f"the query on ${source.connection_env}"
