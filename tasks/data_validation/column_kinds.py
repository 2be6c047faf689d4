"""What a column is, as its values show, and from how many different ones on it is something else.

Here alone it is guessed what nobody said: `init` chooses features by it, and a proposed suite says what to check.
"""

import re
from typing import TYPE_CHECKING, Any, Final

from tasks.data_validation.column_stats import distinct
from tasks.data_validation.suite_file import Kind

if TYPE_CHECKING:
    import pandas as pd

# A target of more different texts is none of classes, and one of more whole numbers is a quantity.
MOST_CLASSES: Final = 50
_MOST_WHOLE_CLASSES: Final = 20
# More different texts than this, or than this share of the rows, are names or free text.
_MOST_CATEGORIES: Final = 200
_MOST_SHARE: Final = 0.2
FEW: Final = 20
# More different values than this, or than this share of the rows, are no list that a person would want to keep.
_MOST_LISTED: Final[dict[Kind | None, int]] = {Kind.TEXT: 50, Kind.INTEGER: 12}
_MOST_LISTED_CLASSES: Final = 200
_LISTED_SHARE: Final = 0.05
_CODE: Final = re.compile(r"(^|[_\s.-])(zip|zipcode|postcode|postal|plz|code)([_\s.-]|$)", re.IGNORECASE)


def kind_of(column: "pd.Series[Any]") -> Kind | None:
    """What the values of `column` are, nulls apart; None for a mixture or for something else."""
    from pandas.api import types

    if types.is_bool_dtype(column.dtype):
        return Kind.BOOLEAN
    if types.is_datetime64_any_dtype(column.dtype):
        return Kind.TIME
    if types.is_integer_dtype(column.dtype):
        return Kind.INTEGER
    if types.is_float_dtype(column.dtype):
        known = column.dropna()
        return Kind.INTEGER if column.hasnans and (known % 1 == 0).all() else Kind.NUMBER
    by_value = {"string": Kind.TEXT, "boolean": Kind.BOOLEAN, "integer": Kind.INTEGER, "floating": Kind.NUMBER}
    times = {"datetime": Kind.TIME, "datetime64": Kind.TIME, "date": Kind.TIME}
    return (by_value | times).get(types.infer_dtype(column, skipna=True))


def measures(column: "pd.Series[Any]") -> Kind | None:
    """`kind_of`, and decimal numbers, which a suite cannot name, are numbers."""
    from pandas.api import types

    return Kind.NUMBER if types.infer_dtype(column, skipna=True) == "decimal" else kind_of(column)


def is_quantity(column: "pd.Series[Any]") -> bool:
    """Whether a target with these values is predicted as a number, rather than as a class."""
    kind = measures(column)
    return kind is Kind.NUMBER or (kind is Kind.INTEGER and distinct(column) > _MOST_WHOLE_CLASSES)


def is_category(column: "pd.Series[Any]", name: str) -> bool:
    """Whether the values are names rather than numbers; whole numbers are, if the column is called a code."""
    kind = measures(column)
    return kind in (Kind.TEXT, Kind.BOOLEAN, None) or (kind is Kind.INTEGER and is_code(name))


def is_code(name: str) -> bool:
    """Whether a column of this name holds codes, of which no arithmetic is known."""
    return _CODE.search(name) is not None


def can_be_categories(different: int, rows: int) -> bool:
    """Whether so many different values in so many rows are few enough to learn something from each."""
    return different <= FEW or different <= min(_MOST_CATEGORIES, rows * _MOST_SHARE)


def can_be_listed(column: "pd.Series[Any]", kind: Kind | None) -> bool:
    """Whether a suite may name every value of the column."""
    return distinct(column) <= min(_MOST_LISTED.get(kind, 0), len(column) * _LISTED_SHARE)


def can_be_listed_as_classes(different: int) -> bool:
    """Whether a suite may name every class of a target."""
    return 0 < different <= _MOST_LISTED_CLASSES
