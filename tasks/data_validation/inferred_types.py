"""A CSV file's columns as its reader guesses their types, for suites that were written by these guesses.

Categories, keys and classes of a CSV file are kept as text where a typed value would lose how they are written
(`01067`); a suite may still say that they are numbers between 0 and 99,999.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from deployments.columns import text_of
from tasks.data_validation.column_kinds import kind_of
from tasks.data_validation.suite_file import Kind
from tasks.problem_types import TaskKind
from tasks.product_spec import Format, ProductSpec

if TYPE_CHECKING:
    import pandas as pd


def as_guessed(frame: "pd.DataFrame", types: Mapping[str, Kind], spec: ProductSpec) -> "pd.DataFrame":
    """`frame` with the text of a CSV file's categories, keys and classes as the types that a reader guesses.

    Those that the suite's `types` call text are text, from every source: that is what categories are to the model. A
    column that the spec declares stays what was declared.
    """
    categorical = spec.preprocessing.categorical.columns if spec.preprocessing.categorical else ()
    classes = (spec.data.target,) if spec.model.task is TaskKind.CLASSIFICATION else ()
    names = dict.fromkeys((*categorical, *spec.data.key, *classes))
    undeclared = [name for name in names if name in frame.columns and name not in spec.data.columns]
    source = spec.data.source
    is_csv = source.sql is None and source.file_format is Format.CSV
    changed = {}
    for name in undeclared:
        if types.get(name) is Kind.TEXT:
            changed[name] = _as_text(frame[name], is_csv)
        elif is_csv and (column := _guessed(frame[name], spec)) is not None:
            changed[name] = column
    return frame.assign(**changed) if changed else frame


def _as_text(column: "pd.Series[Any]", is_csv: bool) -> "pd.Series[Any]":
    """Values as the text of a category; numbers of a CSV file as they stand there, which is how Python writes them."""
    written = str if is_csv and kind_of(column) is Kind.NUMBER else text_of
    return column.astype(object).map(written, na_action="ignore")


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
