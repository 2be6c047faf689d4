"""Expectations of which it is plain, without Great Expectations, that it takes them: the usual ones, written as usual.

What is not plain may be right all the same; Great Expectations itself has to say so, and its import takes seconds. A
test holds that it takes whatever is plain here.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tasks.data_validation.suite_file import Expectation

Test = Callable[[Any], bool]
_LARGEST: Final = 10**15


def is_plain(expectation: Expectation) -> bool:
    """Whether Great Expectations takes it for sure: a known type, with the arguments that it needs and no others."""
    shape = _SHAPES.get(expectation.type)
    if shape is None:
        return False
    arguments = expectation.kwargs
    needed, others = shape
    known = {**needed, **others}
    if not needed.keys() <= arguments.keys() <= known.keys():
        return False
    return all(known[name](value) for name, value in arguments.items()) and _in_order(arguments, known)


def _in_order(arguments: Mapping[str, Any], known: Mapping[str, Test]) -> bool:
    """At least one bound where a bound may be given, and the lower one not above the upper one."""
    if "min_value" not in known:
        return True
    bounds = [arguments[name] for name in ("min_value", "max_value") if name in arguments]
    return bool(bounds) and bounds == sorted(bounds)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value))


def _are_values(value: Any) -> bool:
    """All texts or all numbers: of a mixture Great Expectations makes what it likes."""
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(each, str) for each in value) or all(map(_is_number, value))


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_COLUMN: Final[Mapping[str, Test]] = {"column": _is_name}
_MOSTLY: Final[Mapping[str, Test]] = {"mostly": _is_share}
_NUMBERS: Final[Mapping[str, Test]] = {"min_value": _is_number, "max_value": _is_number}
_COUNTS: Final[Mapping[str, Test]] = {"min_value": _is_count, "max_value": _is_count}
# By type: the arguments that it needs, and those that it may have.
_SHAPES: Final[Mapping[str, tuple[Mapping[str, Test], Mapping[str, Test]]]] = {
    "expect_column_to_exist": (_COLUMN, {}),
    "expect_column_values_to_not_be_null": (_COLUMN, _MOSTLY),
    "expect_column_values_to_be_null": (_COLUMN, _MOSTLY),
    "expect_column_values_to_be_unique": (_COLUMN, _MOSTLY),
    "expect_column_values_to_be_between": (_COLUMN, {**_NUMBERS, **_MOSTLY}),
    "expect_column_values_to_be_in_set": ({**_COLUMN, "value_set": _are_values}, _MOSTLY),
    "expect_column_values_to_not_be_in_set": ({**_COLUMN, "value_set": _are_values}, _MOSTLY),
    "expect_column_value_lengths_to_equal": ({**_COLUMN, "value": _is_count}, _MOSTLY),
    "expect_column_value_lengths_to_be_between": (_COLUMN, {**_COUNTS, **_MOSTLY}),
    "expect_column_unique_value_count_to_be_between": (_COLUMN, _COUNTS),
    "expect_column_proportion_of_unique_values_to_be_between": (
        _COLUMN,
        {"min_value": _is_share, "max_value": _is_share},
    ),
    **{
        f"expect_column_{which}_to_be_between": (_COLUMN, _NUMBERS)
        for which in ("min", "max", "mean", "median", "stdev", "sum")
    },
    "expect_table_row_count_to_be_between": ({}, _COUNTS),
    "expect_table_columns_to_match_set": ({"column_set": _are_names}, {"exact_match": _is_flag}),
    "expect_compound_columns_to_be_unique": ({"column_list": _are_names}, _MOSTLY),
}
