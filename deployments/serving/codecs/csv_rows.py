"""Rows as CSV: a header, commas, quotes as in RFC 4180; what a field means is its column's to say."""

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import islice, repeat
from typing import Final

import numpy as np

from deployments.plurals import counted
from deployments.serving.input_validation import Columns, Place, Unanswerable
from deployments.serving.memory_budget import SMALL_BYTES
from deployments.serving.model_metadata import Feature, Kind

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
    reader = csv.reader(_lines_of(body), strict=True)
    try:
        names, *rows = list(islice(filter(None, reader), most_rows + 2)) or [[]]
    except UnicodeDecodeError:
        raise Unanswerable(400, f"the request is not UTF-8 (after line {reader.line_num})") from None
    except csv.Error:
        raise Unanswerable(400, f"the request is not CSV (at line {reader.line_num})") from None
    if len(rows) > most_rows:
        raise Unanswerable(413, f"the request has more than {counted(most_rows, 'row')}: send it in parts")
    return _columns(names, rows, features)


def _lines_of(body: bytes) -> Iterable[str]:
    """Raises `Unanswerable`; or, once the lines of a large body come to it, `UnicodeDecodeError`."""
    if len(body) > SMALL_BYTES:
        # The whole text would take four times as much as the body.
        return io.TextIOWrapper(io.BytesIO(body), "utf-8-sig", newline="")
    try:
        return io.StringIO(body.decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise Unanswerable(400, f"the request is not UTF-8 (at byte {error.start})") from None


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
    if feature.kind is Kind.CATEGORICAL or feature.meaning.decimal != "." or feature.meaning.thousands:
        return fields
    nulls = feature.meaning.nulls
    some_are_missing = not nulls.isdisjoint(fields)
    known = [field for field in fields if field not in nulls] if some_are_missing else fields
    try:
        if set("".join(known)) <= _IN_A_NUMBER:
            numbers = map(
                float, ("nan" if field in nulls else field for field in fields) if some_are_missing else fields
            )
            return np.fromiter(numbers, np.float64, len(fields))
    except ValueError:
        pass
    return fields
