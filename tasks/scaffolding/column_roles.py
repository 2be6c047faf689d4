"""What each column of a table may be used for: target, time, key, feature, or nothing, and why not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from deployments.errors import BadData, BadInput
from deployments.plurals import counted
from deployments.printable import in_one_line
from tasks.data_validation.builtin_checks import kind_of
from tasks.data_validation.suite_file import Kind
from tasks.datasets.time_windows import with_moments
from tasks.models.features import Feature, FeatureKind, select_features
from tasks.problem_types import TaskKind
from tasks.scaffolding.read_rows import Rows

if TYPE_CHECKING:
    import pandas as pd

# Of more classes than these nobody wants the probability of each.
MOST_CLASSES: Final = 50
_MOST_WHOLE_CLASSES: Final = 20
# More different texts than this, or than this share of the rows, are names or free text.
_MOST_CATEGORIES: Final = 200
_MOST_SHARE: Final = 0.2
_FEW: Final = 20
_ENORMOUS: Final = 1e100
_ID: Final = re.compile(
    r"(^|[_\s.-])(id|ids|uuid|guid|key|index|row|rownum|nr|no)$|(?<=[a-z])(Id|ID|Key)$", re.IGNORECASE
)
_CODE: Final = re.compile(r"(^|[_\s.-])(zip|zipcode|postcode|postal|plz|code)([_\s.-]|$)", re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that is no feature, and why."""

    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns that the model learns from, and those that it does not, in the order of the table."""

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


def time_columns(rows: Rows) -> tuple[str, ...]:
    """Columns that can be the time of a row: times, dates or ISO 8601 text, without gaps."""
    return tuple(name for name in rows.table.column_names if name and _is_time(rows.table, name))


def key_columns(rows: Rows, time: str | None, target: str) -> tuple[str, ...]:
    """Columns that look like ids and tell every row apart, the likeliest first."""
    frame = rows.frame
    return tuple(
        name
        for name in frame.columns
        if name not in {time, target, ""} and _ID.search(name) and _tells_rows_apart(frame[name])
    )


def check_column(name: str, rows: Rows, what: str) -> None:
    """Raises `BadInput` for a column that is not there, with the columns that are."""
    if name not in rows.table.column_names:
        known = ", ".join(map(in_one_line, rows.table.column_names))
        raise BadInput(f"{what}: there is no column {name!r}: use one of {known}")


def check_time(name: str, rows: Rows) -> None:
    """Raises `BadInput` or `BadData` for a column that cannot be the time."""
    check_column(name, rows, "--time")
    with_moments(rows.table.select([name]), name)


def check_key(names: Sequence[str], rows: Rows) -> None:
    """Raises `BadInput` for a key of which a part is not there or empty, or that several rows share."""
    for name in names:
        check_column(name, rows, "--key")
        if missing := int(rows.frame[name].isna().sum()):
            raise BadInput(
                f"--key: {name!r} is empty in {counted(missing, 'row')}: choose another key, or none with --key ''"
            )
    if names and (twice := int(rows.frame.astype(str).duplicated(list(names)).sum())):
        raise BadInput(
            f"--key: {', '.join(names)} is the same in {counted(twice, 'row')} as in another: add a column, "
            "or choose none with --key ''"
        )


def task_of(column: "pd.Series[Any]", name: str) -> TaskKind:
    """What predicting this column is. Raises `BadData` for one that cannot be predicted."""
    if missing := int(column.isna().sum()):
        raise BadData(
            f"target {name!r} is empty in {missing:,} of {counted(len(column), 'row')}: leave these out of the file"
        )
    kind, different = _kind(column), _different(column)
    if different < 2:
        raise BadData(f"target {name!r} has only one value: nothing can be learned")
    if kind is Kind.NUMBER or (kind is Kind.INTEGER and different > _MOST_WHOLE_CLASSES):
        return TaskKind.REGRESSION
    if kind is None or kind is Kind.TIME:
        raise BadData(f"target {name!r} holds {kind or 'values of several kinds'}: choose numbers or classes")
    if different > MOST_CLASSES:
        raise BadData(
            f"target {name!r} has {counted(different, 'different value')}, which are no classes: choose another, "
            "or make it a number"
        )
    return TaskKind.CLASSIFICATION


def sort_columns(rows: Rows, target: str, time: str | None, key: Sequence[str]) -> Columns:
    """Which columns become features: what is neither target, time nor key, and can tell something of other rows."""
    numeric, categorical, left_out = [], [], []
    for name in rows.table.column_names:
        if name == target:
            continue
        if name == time:
            left_out.append(LeftOut(name, "the time of a row"))
        elif name in key:
            left_out.append(LeftOut(name, "the key"))
        elif why := _why_not(rows, name):
            left_out.append(LeftOut(name, why))
        elif _is_category(rows.frame[name], name):
            categorical.append(name)
        else:
            numeric.append(name)
    return Columns(tuple(numeric), tuple(categorical), tuple(left_out))


def described(rows: Rows) -> Iterator[tuple[str, str, str]]:
    """Of each column: name, what it holds, and how many different values. No value is shown."""
    for name in rows.table.column_names:
        column = rows.frame[name]
        kind = _kind(column)
        told = kind.value if kind else str(rows.table.schema.field(name).type)
        if name and _is_time(rows.table, name):
            told = Kind.TIME.value
        yield name, told, f"{_different(column):,}"


def _why_not(rows: Rows, name: str) -> str:
    """Why a column is no feature; empty for one that may be."""
    column, kind = rows.frame[name], rows.table.schema.field(name).type
    if not name.strip():
        return "it has no name (an index that was written along?)"
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return f"it holds {kind}, and a feature is a number or a category"
    if _is_time(rows.table, name) or pa.types.is_temporal(kind):
        return "a time: derive a number from it at the source, such as the hour or an age"
    different = _different(column)
    if different == 0:
        return "it is empty in every row"
    if different == 1:
        return "it has the same value in every row" if not column.isna().any() else "it has only one value"
    return _looks_like_id(column, name, different) or _unreadable(column, name)


def _looks_like_id(column: "pd.Series[Any]", name: str, different: int) -> str:
    rows, kind = len(column), _kind(column)
    if kind is Kind.INTEGER:
        if different == rows > _FEW and int(column.max()) - int(column.min()) + 1 == rows:
            return "it numbers the rows"
        if different > _FEW and _ID.search(name):
            return (
                f"it looks like an id ({counted(different, 'different value')}); as a category it might tell something"
            )
        if different > _FEW and _CODE.search(name) and not _are_categories(different, rows):
            return f"a code with {counted(different, 'different value')}: too many for categories"
    if kind in (Kind.TEXT, None) and not _are_categories(different, rows):
        return f"text with {counted(different, 'different value')} in {counted(rows, 'row')}: ids, names or free text"
    return ""


def _unreadable(column: "pd.Series[Any]", name: str) -> str:
    kind = FeatureKind.CATEGORICAL if _is_category(column, name) else FeatureKind.NUMERIC
    try:
        made = select_features(column.to_frame(), [Feature(name, kind)])
    except BadData as error:
        return in_one_line(error)
    if kind is FeatureKind.NUMERIC and float(made[name].abs().max()) > _ENORMOUS:
        return f"it has numbers beyond ±{_ENORMOUS:g}: repair them at the source"
    return ""


def _is_category(column: "pd.Series[Any]", name: str) -> bool:
    kind = _kind(column)
    return kind in (Kind.TEXT, Kind.BOOLEAN, None) or (kind is Kind.INTEGER and _CODE.search(name) is not None)


def _are_categories(different: int, rows: int) -> bool:
    return different <= _FEW or different <= min(_MOST_CATEGORIES, rows * _MOST_SHARE)


def _kind(column: "pd.Series[Any]") -> Kind | None:
    """As a suite names it; decimal numbers as objects are numbers."""
    from pandas.api import types

    return Kind.NUMBER if types.infer_dtype(column, skipna=True) == "decimal" else kind_of(column)


def _different(column: "pd.Series[Any]") -> int:
    try:
        return int(column.nunique())
    except TypeError:  # lists and mappings
        return int(column.dropna().astype(str).nunique())


def _tells_rows_apart(column: "pd.Series[Any]") -> bool:
    return not column.isna().any() and _different(column) == len(column)


def _is_time(table: pa.Table, name: str) -> bool:
    column = table.column(name)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        first = next((value.as_py() for value in column if value.is_valid), "")
        if not _DATE.match(first):
            return False
    elif not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        return False
    try:
        with_moments(table.select([name]), name)
    except BadData:
        return False
    return True
