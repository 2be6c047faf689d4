"""Rows as CSV: a header, commas, quotes as in RFC 4180; an empty field is a missing value.

So are `NA`, `nan`, `null` and the other words that pandas, by which MLflow reads CSV, takes for one.
"""

import csv
import io
from collections.abc import Sequence
from itertools import islice, repeat
from typing import Final

import numpy as np

from deployments.plurals import counted
from deployments.serving.description import Feature, Kind
from deployments.serving.schema import Columns, Place, Unanswerable

MISSING: Final = frozenset(
    {"", "NULL", "null", "None", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A"}
    | {f"{sign}{word}" for sign in ("", "-") for word in ("NaN", "nan", "1.#IND", "1.#QNAN")}
)
# Nobody's model has so many, and each that is none of its columns takes a name.
_MOST_COLUMNS: Final = 100_000
# Python would read `1_000` and digits of other scripts as numbers too.
_IN_A_NUMBER = frozenset("0123456789+-.eE \t")


def columns_of_csv(body: bytes, features: Sequence[Feature], most_rows: int) -> Columns:
    """The columns of `features` that a CSV document has; others are there by their names, without values.

    By their place in the header where that does not name every feature: it may be data, of a document without one.
    Raises `Unanswerable`, 413 as soon as there are more than
    `most_rows` rows.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unanswerable(400, f"the request is not UTF-8 (at byte {error.start})") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names, *rows = list(islice(filter(None, reader), most_rows + 2)) or [[]]
    except csv.Error:
        raise Unanswerable(400, f"the request is not CSV (at line {reader.line_num})") from None
    if len(rows) > most_rows:
        raise Unanswerable(413, f"the request has more than {counted(most_rows, 'row')}: send it in parts")
    return _columns(names, rows, features)


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]], features: Sequence[Feature]) -> Columns:
    if len(names) > _MOST_COLUMNS:
        raise Unanswerable(422, f"the header has more than {_MOST_COLUMNS} columns")
    if set(map(len, rows)) - {len(names)}:
        number = next(number for number, row in enumerate(rows) if len(row) != len(names))
        raise Unanswerable(
            422, f"row {number} has {counted(len(rows[number]), 'value')} for {counted(len(names), 'column')}"
        )
    by_name = dict(zip(names, zip(*rows, strict=True) if rows else repeat(()), strict=False))
    if len(by_name) != len(names):
        raise Unanswerable(422, "a column name is given twice")
    columns = {each.name: _values(each, by_name[each.name]) for each in features if each.name in by_name}
    headed = all(each.name in by_name for each in features)
    # pandas writes its index without a name.
    others = ((place, name) for place, name in enumerate(names, 1) if name and name not in columns)
    return columns | {name if headed else Place(f"at place {place} of the header"): () for place, name in others}


def _values(feature: Feature, fields: Sequence[str]) -> "Sequence[str | None] | np.ndarray":
    some_are_missing = not MISSING.isdisjoint(fields)
    if feature.kind is Kind.CATEGORICAL:
        return [None if field in MISSING else field for field in fields] if some_are_missing else fields
    known = [field for field in fields if field not in MISSING] if some_are_missing else fields
    try:
        if set("".join(known)) <= _IN_A_NUMBER:
            numbers = map(
                float, ("nan" if field in MISSING else field for field in fields) if some_are_missing else fields
            )
            return np.fromiter(numbers, np.float64, len(fields))
    except ValueError:
        pass
    raise Unanswerable(422, f"column {feature.name!r} must hold numbers, or nothing where its value is not known")
