"""What each column of a table may be used for: target, time, key, feature, or nothing, and why not."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from deployments.errors import BadData, BadInput
from deployments.plurals import counted
from deployments.printable import in_one_line
from tasks.data_validation.column_kinds import (
    FEW,
    MOST_CLASSES,
    can_be_categories,
    is_category,
    is_code,
    is_quantity,
    measures,
)
from tasks.data_validation.column_stats import distinct
from tasks.data_validation.suite_file import Kind
from tasks.datasets.time_windows import with_moments
from tasks.models.features import Feature, FeatureKind, select_features
from tasks.problem_types import TaskKind
from tasks.scaffolding.read_rows import Rows

if TYPE_CHECKING:
    import pandas as pd

_ENORMOUS: Final = 1e100
_ID: Final = re.compile(
    r"(^|[_\s.-])(id|ids|uuid|guid|key|index|row|rownum|nr|no)$|(?<=[a-z])(Id|ID|Key)$", re.IGNORECASE
)


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
    """Columns that can be the time of a row: times, dates or text of such, without gaps."""
    return tuple(name for name in rows.table.column_names if name and _is_time(rows.table, name))


def key_columns(rows: Rows, time: str | None, target: str) -> tuple[str, ...]:
    """Columns that look like ids, or number the rows, and tell every row apart; the likeliest first."""
    frame = rows.frame
    apart = [name for name in frame.columns if name not in {time, target, ""} and _tells_rows_apart(frame[name])]
    named = [name for name in apart if _ID.search(name)]
    return (*named, *(name for name in apart if name not in named and _numbers_rows(frame[name])))


def check_column(name: str, rows: Rows, what: str) -> None:
    """Raises `BadInput` for a column that is not there, with the columns that are."""
    if name not in rows.table.column_names:
        known = ", ".join(in_one_line(each) for each in rows.table.column_names if each)
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
    kind, different = measures(column), distinct(column)
    if different < 2:
        raise BadData(f"target {name!r} has only one value: nothing can be learned")
    if is_quantity(column):
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
        elif is_category(rows.frame[name], name):
            categorical.append(name)
        else:
            numeric.append(name)
    left_out += [LeftOut(name, "it shares its name with another column") for name in rows.shared]
    return Columns(tuple(numeric), tuple(categorical), tuple(left_out))


def described(rows: Rows) -> Iterator[tuple[str, str, str]]:
    """Of each column: name, what it holds, and how many different values. No value is shown."""
    for name in rows.table.column_names:
        column = rows.frame[name]
        kind = measures(column)
        told = kind.value if kind else str(rows.table.schema.field(name).type)
        if name and _is_time(rows.table, name):
            told = Kind.TIME.value
        yield name, told, f"{distinct(column):,}"


def _why_not(rows: Rows, name: str) -> str:
    """Why a column is no feature; empty for one that may be."""
    column, kind = rows.frame[name], rows.table.schema.field(name).type
    if not name.strip():
        return "it has no name (an index that was written along?)"
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return f"it holds {kind}, and a feature is a number or a category"
    if _is_time(rows.table, name) or pa.types.is_temporal(kind):
        return "a time: derive a number from it at the source, such as the hour or an age"
    different = distinct(column)
    if different == 0:
        return "it is empty in every row"
    if different == 1:
        return "it has the same value in every row" if not column.isna().any() else "it has only one value"
    return _looks_like_id(column, name, different) or _unreadable(column, name)


def _looks_like_id(column: "pd.Series[Any]", name: str, different: int) -> str:
    rows, kind = len(column), measures(column)
    if kind is Kind.INTEGER:
        if different == rows and _numbers_rows(column):
            return "it numbers the rows"
        if different > FEW and _ID.search(name):
            return (
                f"it looks like an id ({counted(different, 'different value')}); as a category it might tell something"
            )
        if different > FEW and is_code(name) and not can_be_categories(different, rows):
            return f"a code with {counted(different, 'different value')}: too many for categories"
    if kind in (Kind.TEXT, None) and not can_be_categories(different, rows):
        return f"text with {counted(different, 'different value')} in {counted(rows, 'row')}: ids, names or free text"
    return ""


def _unreadable(column: "pd.Series[Any]", name: str) -> str:
    kind = FeatureKind.CATEGORICAL if is_category(column, name) else FeatureKind.NUMERIC
    try:
        made = select_features(column.to_frame(), [Feature(name, kind)])
    except BadData as error:
        return in_one_line(error)
    if kind is FeatureKind.NUMERIC and float(made[name].abs().max()) > _ENORMOUS:
        return f"it has numbers beyond ±{_ENORMOUS:g}: repair them at the source"
    return ""


def _numbers_rows(column: "pd.Series[Any]") -> bool:
    """Of a column whose values are all different."""
    rows = len(column)
    return measures(column) is Kind.INTEGER and rows > FEW and int(column.max()) - int(column.min()) + 1 == rows


def _tells_rows_apart(column: "pd.Series[Any]") -> bool:
    return not column.isna().any() and distinct(column) == len(column)


def _is_time(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
        return False
    try:
        with_moments(table.select([name]), name)
    except BadData:
        return False
    return True
