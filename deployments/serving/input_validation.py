"""Columns of a request in, rows for the model out, and what is wrong with a request.

A refusal names the column, never what the caller sent.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from deployments.columns import DOUBLE, number_in
from deployments.errors import BadInput
from deployments.plurals import counted
from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import Batch

# A column is a sequence of JSON values, or a float64, integer or boolean array in which NaN is a missing value.
Columns = Mapping[str, "Sequence[Any] | np.ndarray"]

NUMBERS = frozenset({int, float, bool, type(None)})
_MOST_NAMES: Final = 5
_LONGEST_NAME: Final = 64
_TEXT = frozenset({str, type(None)})


class Unanswerable(BadInput):
    """The request cannot be answered; `status` is the HTTP code that says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def batch_of(columns: Columns, features: Sequence[Feature], limits: Limits) -> Batch:
    """The rows that a model is asked about.

    Raises `Unanswerable`: 422 for a column that is missing, unknown, too short or of another type, and for values that
    `limits` do not allow; 413 for too many rows.
    """
    rows = _count_rows(columns, features, limits)
    numbers: list[Any] = []
    categories: list[Sequence[str | None]] = []
    for feature in features:
        values = columns[feature.name] if feature.name in columns else _when_absent(feature, rows)
        if feature.kind is Kind.NUMERIC:
            known = _numbers(feature, values)
            narrow = feature.meaning.bits != DOUBLE
            numbers.append(feature.meaning.as_held(np.array(known, dtype=np.float64)) if narrow else known)
        else:
            categories.append(_categories(feature, values))
    shape = (len(numbers), rows)
    by_row = np.ascontiguousarray(np.array(numbers, dtype=np.float64).reshape(shape).T)
    return checked(Batch(rows, by_row, tuple(categories)), features, limits)


def checked(batch: Batch, features: Sequence[Feature], limits: Limits) -> Batch:
    """The same batch. Raises `Unanswerable`, 422, for values that `limits` do not allow."""
    if not limits.missing:
        _refuse_missing(batch, features)
    if not limits.unknown_categories:
        for feature, values in zip(_of_kind(Kind.CATEGORICAL, features), batch.categories, strict=True):
            if feature.categories is not None and not set(values) <= feature.categories | {None}:
                raise Unanswerable(422, f"column {feature.name!r} holds a category that training never saw")
    return batch


def matrix_of(rows: Sequence[Sequence[Any]], features: Sequence[Feature], limits: Limits) -> Batch | None:
    """The same for rows of nothing but numbers in the order of `features`, in one go; None if any cell is none."""
    check_rows(len(rows), limits.rows)
    matrix = array_of_numbers(rows)
    if matrix is None or matrix.shape != (len(rows), len(features)) or not np.isfinite(matrix).all():
        return None
    return Batch(len(rows), rounded_as_trained(matrix, features), ())


def rounded_as_trained(matrix: "np.ndarray", features: Sequence[Feature]) -> "np.ndarray":
    """The same matrix, of a model that takes nothing but numbers, with no more digits than training had of them."""
    for place, feature in enumerate(features):
        if feature.meaning.bits != DOUBLE:
            matrix[:, place] = feature.meaning.as_held(matrix[:, place])
    return matrix


def array_of_numbers(values: Sequence[Any]) -> "np.ndarray | None":
    """Numbers, or equally long lists of numbers, as float64 in one go; None if anything else is there.

    `struct` takes nothing else, and is three times as quick as numpy, which looks at what each value could be.
    """
    try:
        if not isinstance(values[0], list):
            return np.frombuffer(bytearray(struct.pack(f"{len(values)}d", *values)))
        pack = struct.Struct(f"{len(values[0])}d").pack
        rows = bytearray().join([pack(*row) for row in values])
        return np.frombuffer(rows).reshape(len(values), len(values[0]))
    except (struct.error, TypeError, OverflowError):
        return None


def check_rows(rows: int, max_rows: int) -> None:
    """Raises `Unanswerable` for no rows, and for more than are answered at once."""
    if rows == 0:
        raise Unanswerable(422, "the request has no row")
    if rows > max_rows:
        raise Unanswerable(
            413, f"the request has {counted(rows, 'row')}, at most {max_rows} are answered at once: send it in parts"
        )


class Place(str):
    """Stands for the name of a column where that may be somebody's data."""

    __slots__ = ()


def missing(feature: Feature) -> Unanswerable:
    """For a row or request without a column that the model needs."""
    return Unanswerable(422, f"column {feature.name!r} is missing: send null where its value is not known")


def unknown(names: Iterable[str], features: Sequence[Feature]) -> Unanswerable:
    """For columns that the model does not take; `names` stand in the request as names, not as data."""
    known = sorted(names)[:_MOST_NAMES]
    named = ", ".join(name if isinstance(name, Place) else repr(name[:_LONGEST_NAME]) for name in known)
    takes = ", ".join(feature.name for feature in features)
    return Unanswerable(422, f"the model takes no column {named}: leave it out; it takes {takes}")


def infinite(name: str) -> Unanswerable:
    """For a column with an infinite number."""
    return Unanswerable(422, f"column {name!r} holds an infinite number")


def is_list_of(kind: type, value: Any) -> bool:
    """Whether `value` is a list that holds nothing but `kind`, one of JSON's types."""
    return isinstance(value, list) and set(map(type, value)) <= {kind}


def _count_rows(columns: Columns, features: Sequence[Feature], limits: Limits) -> int:
    lengths = {feature.name: len(columns[feature.name]) for feature in features if feature.name in columns}
    if not lengths:
        raise Unanswerable(422, f"no column of the model is there: it takes {', '.join(f.name for f in features)}")
    rows = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != rows:
            raise Unanswerable(422, f"column {name!r} has {counted(length, 'value')}, others {rows}")
    if len(lengths) < len(columns) and not limits.unknown_columns:
        raise unknown(columns.keys() - lengths.keys(), features)
    check_rows(rows, limits.rows)
    return rows


def _refuse_missing(batch: Batch, features: Sequence[Feature]) -> None:
    empty = np.isnan(batch.numbers).any(axis=0)
    numeric, categorical = _of_kind(Kind.NUMERIC, features), _of_kind(Kind.CATEGORICAL, features)
    names = [feature.name for feature, is_empty in zip(numeric, empty, strict=True) if is_empty]
    names += [feature.name for feature, values in zip(categorical, batch.categories, strict=True) if None in values]
    if names:
        raise Unanswerable(422, f"column {names[0]!r} holds null: this model is asked with known values only")


def _of_kind(kind: Kind, features: Sequence[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.kind is kind]


def _when_absent(feature: Feature, rows: int) -> Sequence[Any]:
    if feature.required:
        raise missing(feature)
    return [None] * rows


def _numbers(feature: Feature, values: "Sequence[Any] | np.ndarray") -> "Sequence[Any] | np.ndarray":
    if isinstance(values, np.ndarray):
        if values.dtype.kind == "f" and np.isinf(values).any():
            raise infinite(feature.name)
        return values
    kinds = set(map(type, values))
    if kinds <= NUMBERS:
        return values
    if not kinds <= NUMBERS | _TEXT:
        raise Unanswerable(422, f"column {feature.name!r} must hold numbers or null")
    return _read_numbers(feature, values)


def _read_numbers(feature: Feature, values: Sequence[Any]) -> "np.ndarray":
    """Numbers of which some are text, as training reads them."""
    meaning = feature.meaning
    try:
        numbers = (
            np.nan if value is None else number_in(value, meaning) if isinstance(value, str) else value
            for value in values
        )
        read = np.fromiter(numbers, np.float64, len(values))
    except ValueError:
        raise Unanswerable(
            422, f"column {feature.name!r} must hold numbers or null, or text that reads as a number"
        ) from None
    if np.isinf(read).any():
        raise infinite(feature.name)
    return read


def _categories(feature: Feature, values: "Sequence[Any] | np.ndarray") -> Sequence[str | None]:
    meant = feature.meant
    if isinstance(values, np.ndarray):
        return [None if value != value else meant.of(value) for value in _plain_values(values)]  # noqa: PLR0124 - NaN
    kinds = set(map(type, values))
    if kinds <= _TEXT:
        return [*map(meant.__getitem__, values)]
    if not kinds <= _TEXT | NUMBERS:
        raise Unanswerable(422, f"column {feature.name!r} must hold text, numbers, true, false or null")
    return [meant.of(value) for value in values]


def _plain_values(values: "np.ndarray") -> list[Any]:
    """What a person would write: 0.1 also of a float of fewer bits."""
    if values.dtype.kind == "f" and values.dtype.itemsize < 8:
        return [float(text) for text in values.astype(str).tolist()]
    plain: list[Any] = values.tolist()
    return plain
