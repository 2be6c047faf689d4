"""A first suite, proposed from data that are taken to be good, for a person to edit.

What would break training is critical: nulls in key, time and target, classes that were never there, wrong types. What
only looks different from these data is a warning: ranges, categories, shares of nulls, counts. The guards that are
always on (rows, columns, key) are not repeated, and nothing is proposed for columns that nothing in the spec uses.
Whatever type a column has, the proposal can be written as JSON and holds on the data that it was made from.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from deployments.durations import LONGEST, format_duration
from tasks.data_spec import as_moment
from tasks.data_validation.column_kinds import can_be_listed, can_be_listed_as_classes, kind_of
from tasks.data_validation.column_stats import distinct, hashable
from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_file import Kind
from tasks.data_validation.used_columns import used_columns
from tasks.problem_types import TaskKind
from tasks.product_spec import ProductSpec

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

_RANGE_SLACK = 0.1
# Beyond, or closer together than so, numbers cannot be rounded with float64.
_LARGEST = 1e290
_FINEST = 1e-12
_RARELY = 0.001
_NULL_SLACK = 0.02
_AGES_IN_DAYS = (1, 2, 7, 14, 30, 90, 365)

Proposed = dict[str, Any]


def propose_suite(frame: "pd.DataFrame", spec: ProductSpec, until: "dt.datetime | None" = None) -> Proposed:
    """The content of a suite file for `frame`, a snapshot's rows; it passes on `frame` itself, warnings included.

    `until` is when the rows' window ends: now where it is open. None: the newest row is as new as can be.
    """
    used = used_columns(spec)
    kinds = {str(name): kind_of(frame[name]) for name in frame.columns if name in used}
    expectations = [*_about_table(frame)]
    for name, kind in kinds.items():
        expectations += _about_column(frame[name], name, kind, spec)
    own: Proposed = {"types": {name: kind.value for name, kind in kinds.items() if kind and _has_values(frame[name])}}
    if spec.data.time_column is not None:
        own["freshness"] = _freshness(frame[spec.data.time_column], until)
    return {"name": spec.product, "expectations": expectations, "meta": {"seatrial": own}}


def _about_table(frame: "pd.DataFrame") -> Iterator[Proposed]:
    rows = len(frame)
    yield _expect("table_row_count_to_be_between", Severity.WARNING, min_value=max(1, rows // 4), max_value=rows * 4)
    columns = [str(name) for name in frame.columns]
    yield _expect("table_columns_to_match_set", Severity.WARNING, column_set=columns, exact_match=True)


def _about_column(column: "pd.Series[Any]", name: str, kind: Kind | None, spec: ProductSpec) -> Iterator[Proposed]:
    yield _about_nulls(column, name, spec)
    if name == spec.data.target:
        yield from _about_target(column, name, kind, spec)
    elif name in spec.preprocessing.features and hashable(column) is column and distinct(column) > 1:
        yield _expect("column_unique_value_count_to_be_between", Severity.WARNING, column=name, min_value=2)
    if name != spec.data.target and (name in spec.preprocessing.features or name not in spec.data.key):
        yield from _about_values(column, name, kind)


def _about_nulls(column: "pd.Series[Any]", name: str, spec: ProductSpec) -> Proposed:
    needed = name in (*spec.data.key, spec.data.time_column, spec.data.target)
    if needed and not column.isna().any():
        return _expect("column_values_to_not_be_null", Severity.CRITICAL, column=name)
    mostly = max(0.0, math.floor(100 * (1 - 2 * float(column.isna().mean()) - _NULL_SLACK)) / 100)
    return _expect("column_values_to_not_be_null", Severity.WARNING, column=name, mostly=mostly)


def _about_target(column: "pd.Series[Any]", name: str, kind: Kind | None, spec: ProductSpec) -> Iterator[Proposed]:
    if spec.model.task is TaskKind.REGRESSION:
        yield from _about_range(column, name, kind)
        return
    classes = _categories(column)
    if not can_be_listed_as_classes(len(classes)):
        return
    yield _expect("column_values_to_be_in_set", Severity.CRITICAL, column=name, value_set=classes)
    if kind is Kind.INTEGER and classes == [0, 1]:
        share = float(column.mean())
        low, high = round(share / 2, 3), round(min(1.0, share * 2), 3)
        yield _expect("column_mean_to_be_between", Severity.WARNING, column=name, min_value=low, max_value=high)


def _about_values(column: "pd.Series[Any]", name: str, kind: Kind | None) -> Iterator[Proposed]:
    if column.isna().all():
        return
    if can_be_listed(column, kind):
        domain = _categories(column)
        yield _expect("column_values_to_be_in_set", Severity.WARNING, column=name, value_set=domain, mostly=0.99)
    elif kind in (Kind.NUMBER, Kind.INTEGER):
        yield from _about_range(column, name, kind)


def _about_range(column: "pd.Series[Any]", name: str, kind: Kind | None) -> Iterator[Proposed]:
    if kind not in (Kind.NUMBER, Kind.INTEGER) or not _has_values(column):
        return
    low, high = float(column.min()), float(column.max())
    if not (low > -_LARGEST and high < _LARGEST):
        return
    slack = (high - low) * _RANGE_SLACK or abs(high) * _RANGE_SLACK or 1.0
    lowest = 0.0 if low >= 0 > low - slack else low - slack
    bounds = _rounded(lowest, high + slack, kind)
    limits = {"min_value": bounds[0], "max_value": bounds[1], "mostly": 1 - _RARELY}
    yield _expect("column_values_to_be_between", Severity.WARNING, column=name, **limits)


def _rounded(low: float, high: float, kind: Kind | None) -> tuple[float, float]:
    """Outwards: to whole numbers where the column holds such, else to the second digit of the spread."""
    if kind is Kind.INTEGER:
        return math.floor(low), math.ceil(high)
    if not high - low > max(_FINEST * max(abs(low), abs(high)), 1 / _LARGEST):
        return low, high
    step = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    digits = max(0, -math.floor(math.log10(step)))
    return round(math.floor(low / step) * step, digits), round(math.ceil(high / step) * step, digits)


def _categories(column: "pd.Series[Any]") -> list[Any]:
    """The different values in a stable order; empty where one of them cannot be written as JSON."""
    if hashable(column) is not column:
        return []
    values = column.dropna().unique().tolist()
    if any(not isinstance(value, str | bool | int | float) or value in (math.inf, -math.inf) for value in values):
        return []
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _has_values(column: "pd.Series[Any]") -> bool:
    return bool(column.notna().any())


def _freshness(moments: "pd.Series[dt.datetime]", until: "dt.datetime | None") -> Proposed:
    """At least three times the longest gap that there was, and the newest row's age, rounded up; a century at most."""
    import pandas as pd

    gaps = moments.drop_duplicates().sort_values().diff().dropna()
    days = 3 * (gaps.max() / pd.Timedelta(days=1)) if len(gaps) else 0.0
    if until is not None:
        days = max(days, (until - as_moment(moments.max())) / pd.Timedelta(days=1))
    age = next((choice for choice in _AGES_IN_DAYS if choice >= days), min(math.ceil(days), LONGEST.days))
    max_age = format_duration(pd.Timedelta(days=age).to_pytimedelta())
    return {"max_age": max_age, "until": "window", "severity": Severity.WARNING.value}


def _expect(kind: str, severity: Severity, **kwargs: Any) -> Proposed:
    return {"type": f"expect_{kind}", "severity": severity.value, "kwargs": kwargs}
