"""Columns of any type that a source may hold, lists and structs too: what differs, what are numbers, what repeats."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

# A number with whatever stands before and after it, such as a currency; a comma may be the decimal sign.
_NUMBER = re.compile(r"[^\d+\-.,]*([+-]?\d*[.,]?\d+(?:[eE][+-]?\d+)?)[^\d]*")
_ROWS_KEY = "rows of seatrial"  # 16 bytes, as pandas wants


def hashable(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """The same values in a form that can be counted and compared: lists, structs and the like by their text."""
    if column.dtype != object:
        return column
    try:
        column.nunique()
    except TypeError:
        return column.map(_written, na_action="ignore")
    return column


def distinct(column: "pd.Series[Any]") -> int:
    """How many different values there are, nulls apart."""
    return int(hashable(column).nunique())


def codes(column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Equal numbers for equal values, from 0 on; -1 for null. Shape (rows,)."""
    import pandas as pd

    found: np.ndarray[Any, Any] = pd.factorize(hashable(column))[0]
    return found


def numbers(column: "pd.Series[Any]") -> "np.ndarray[Any, Any] | None":
    """The values as float64 with NaN for null and infinity; None if they are no numbers, nor text of such.

    Whole numbers are counted from the smallest of them, so that those of nineteen digits keep their differences.
    """
    import numpy as np
    from pandas.api import types

    if types.is_bool_dtype(column.dtype) or types.is_datetime64_any_dtype(column.dtype):
        return None
    if types.is_integer_dtype(column.dtype) and column.notna().any():
        return _from_the_smallest(column)
    if types.is_float_dtype(column.dtype):
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)
    return _read_numbers(column)


def row_hashes(frame: "pd.DataFrame") -> "pd.Series[Any]":
    """A number a row, equal for rows that are equal throughout."""
    from pandas.util import hash_pandas_object

    plain = {name: _text_of(hashable(column)) for name, column in frame.items()}
    return hash_pandas_object(type(frame)(plain), index=False, hash_key=_ROWS_KEY)


def repeats(frame: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """How often each row stands there, shape (rows,); 1 throughout where few-valued columns make equal rows likely."""
    import math

    import numpy as np

    rows = len(frame)
    if not rows or math.prod(max(1, distinct(column)) for _, column in frame.items()) < 10 * rows:
        return np.ones(rows, dtype="int64")
    hashes = row_hashes(frame)
    found: np.ndarray[Any, Any] = hashes.map(hashes.value_counts()).to_numpy()
    return found


def _text_of(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.map(repr) if column.dtype == object else column


def _written(value: Any) -> str:
    return repr(value.tolist() if hasattr(value, "tolist") else value)


def _from_the_smallest(column: "pd.Series[Any]") -> "np.ndarray[Any, Any]":
    """Modulo 2^64, where no difference of two whole numbers of 64 bits is lost."""
    import numpy as np

    known = column.notna().to_numpy()
    whole = column[known].to_numpy().astype("uint64" if column.min() >= 0 else "int64").astype("uint64")
    differences = np.full(len(column), np.nan)
    differences[known] = whole - np.uint64(int(column.min()) % 2**64)
    return differences


def _read_numbers(column: "pd.Series[Any]") -> "np.ndarray[Any, Any] | None":
    import numpy as np
    import pandas as pd

    places, values = pd.factorize(hashable(column))
    read = [_number(value) for value in values]
    if not read or None in read:
        return None
    return np.array([*read, np.nan], dtype="float64")[places]


def _number(value: Any) -> float | None:
    if not isinstance(value, str):
        try:
            return None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            return None
    found = _NUMBER.fullmatch(value.strip())
    return float(found[1].replace(",", ".")) if found else None
