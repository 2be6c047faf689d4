"""A CSV file's columns as its reader guesses their types, for suites that were written by these guesses.

Categories and keys of a CSV file are kept as text where a typed value would lose how they are written (`01067`); a
suite may still say that they are numbers between 0 and 99,999.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tasks.data_validation.suite_file import Kind
from tasks.product_spec import Format, ProductSpec

if TYPE_CHECKING:
    import pandas as pd


def as_guessed(frame: "pd.DataFrame", types: Mapping[str, Kind], spec: ProductSpec) -> "pd.DataFrame":
    """`frame` with the text of a CSV file's categories and keys as the types that a reader guesses.

    A column that the spec declares, and one that the suite's `types` call text, stay text.
    """
    source = spec.data.source
    if source.sql is not None or source.file_format is not Format.CSV:
        return frame
    categorical = spec.preprocessing.categorical.columns if spec.preprocessing.categorical else ()
    names = [
        name
        for name in dict.fromkeys((*categorical, *spec.data.key))
        if name in frame.columns and name not in spec.data.columns and types.get(name) is not Kind.TEXT
    ]
    guessed = {name: column for name in names if (column := _guessed(frame[name], spec)) is not None}
    return frame.assign(**guessed) if guessed else frame


def _guessed(column: "pd.Series[Any]", spec: ProductSpec) -> "pd.Series[Any] | None":
    """None for what is no text, and for text that nobody takes for anything else."""
    import pyarrow as pa
    from pandas.api import types
    from pyarrow import csv

    if types.infer_dtype(column, skipna=True) != "string":
        return None
    # A second column, for a line with nothing in it is none to the reader.
    rows = pa.table({"text": pa.array(column, pa.string(), from_pandas=True), "row": pa.array(range(len(column)))})
    sink = pa.BufferOutputStream()
    csv.write_csv(rows, sink)
    content = sink.getvalue()
    read = csv.read_csv(
        pa.BufferReader(content),
        read_options=csv.ReadOptions(block_size=content.size + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(decimal_point=spec.data.source.decimal),
    ).column("text")
    if pa.types.is_string(read.type) or pa.types.is_null(read.type):
        return None
    guessed: pd.Series[Any] = read.to_pandas()
    return guessed.set_axis(column.index)
