"""Checks that are always made, whatever the suite says, and the suite's own section: types and freshness.

Great Expectations lets an empty table and a column of nulls pass most expectations; these guards do not.
"""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from deployments.durations import format_duration
from deployments.plurals import counted
from tasks.data_validation.column_stats import distinct, hashable, repeats
from tasks.data_validation.findings import Finding, Outcome, Severity
from tasks.data_validation.suite_file import Freshness, Kind
from tasks.data_validation.target_leakage import leaks
from tasks.datasets.snapshot import required_columns
from tasks.product_spec import ProductSpec, Window, as_moment

if TYPE_CHECKING:
    import pandas as pd

_MOST_SHOWN = 5
# Two equal rows happen; whoever reads a file three times makes three.
_OFTEN = 3


def guard(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[Finding]:
    """Rows, columns, target, key and features; one finding each.

    Critical but for what may be meant: constant columns, rows that stand there several times, a very good feature.
    """
    yield _verdict("table has rows", None, len(frame) > 0, counted(len(frame), "row"), "widen data.window")
    absent = [name for name in required_columns(spec) if name not in frame.columns]
    yield _verdict("columns of the spec are there", None, not absent, _names(absent, "absent"), "correct the spec")
    if frame.empty:
        return
    yield from _guard_target(frame, spec)
    yield from _guard_key(frame, spec)
    yield from _guard_features(frame, spec)
    yield from _guard_leaks(frame, spec)
    yield _guard_repeats(frame)


def check_types(
    frame: "pd.DataFrame", types: dict[str, Kind], critical: Collection[str] | None = None
) -> Iterator[Finding]:
    """One finding per column; a column that is absent or holds only nulls is an error, not a pass.

    Critical for the columns in `critical` (None: for all), else a warning.
    """
    for name, kind in types.items():
        check = f"values are of kind {kind}"
        severity = Severity.CRITICAL if critical is None or name in critical else Severity.WARNING
        if name not in frame.columns:
            yield unable(check, name, severity, "the column is absent")
        elif frame[name].isna().all():
            yield unable(check, name, severity, "there is no value to look at")
        else:
            found = kind_of(frame[name])
            fits = found is kind or (kind is Kind.NUMBER and found is Kind.INTEGER)
            remedy = "convert the column, or correct meta.seatrial.types"
            yield _verdict(check, name, fits, f"{found or 'mixed'}", remedy, severity)


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


def check_freshness(
    frame: "pd.DataFrame", spec: ProductSpec, rule: Freshness, window: Window, now: datetime
) -> Iterator[Finding]:
    """One finding on the age of the newest row, and on rows that lie after the moment they are compared with."""
    check, time = f"newest row is at most {format_duration(rule.max_age)} old", spec.data.time_column
    if time is None or time not in frame.columns or frame.empty:
        yield unable(check, time, rule.severity, "there is no time to look at")
        return
    newest, reference = as_moment(frame[time].max().to_pydatetime()), _reference(rule, window, now)
    age = reference - newest
    observed = f"newest row {newest:%Y-%m-%d %H:%M} UTC, compared with {reference:%Y-%m-%d %H:%M} UTC"
    # Rows cannot lie after the window that they were picked by; those of another window are newer than the spec's.
    fresh = age <= rule.max_age and (rule.until == "window" or age >= timedelta(0))
    remedy = "repair times that lie ahead" if age < timedelta(0) else "ingest newer rows, or move data.window"
    yield _verdict(check, time, fresh, observed, remedy, rule.severity)


def unable(check: str, column: str | None, severity: Severity, reason: str) -> Finding:
    """The finding of a check that could not tell."""
    where = f"{column}: " if column else ""
    return Finding(check, column, severity, Outcome.ERROR, reason, f"{where}cannot tell whether {check}: {reason}")


def _reference(rule: Freshness, window: Window, now: datetime) -> datetime:
    match rule.until:
        case "now":
            return now
        case "window":
            return as_moment(window.end) if window.end is not None else now
        case moment:
            return as_moment(moment)


def _guard_target(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[Finding]:
    target = spec.data.target
    if target in frame.columns:
        missing = int(frame[target].isna().sum())
        observed = f"{missing:,} of {len(frame):,} empty"
        yield _verdict("target is never empty", target, missing == 0, observed, "leave these rows out at the source")


def _guard_key(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[Finding]:
    key = list(spec.data.key)
    if key and set(key) <= set(frame.columns):
        twice = int(frame[key].apply(hashable).duplicated().sum())
        check = f"key ({', '.join(key)}) is unique"
        observed = f"{counted(twice, 'row')} with a key that was there before"
        yield _verdict(check, None, twice == 0, observed, "remove the copies, or correct data.key")


def _guard_features(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[Finding]:
    features = [name for name in spec.preprocessing.features if name in frame.columns]
    empty = [name for name in features if frame[name].isna().all()]
    yield _verdict("no feature is empty throughout", None, not empty, _names(empty, "empty"), "fill or drop them")
    endless = [name for name in features if _has_infinity(frame[name])]
    yield _verdict("no feature is infinite", None, not endless, _names(endless, "infinite"), "repair the source")
    same = [name for name in features if name not in empty and distinct(frame[name]) == 1 and _is_full(frame[name])]
    remedy = "leave them out of preprocessing: they tell no row from another"
    yield _verdict("no feature is constant", None, not same, _names(same, "constant"), remedy, Severity.WARNING)


def _guard_leaks(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[Finding]:
    """What tells the target entirely is critical, unless the spec says that it is known before it."""
    if spec.data.target not in frame.columns:
        return
    meant = spec.validation.known_before_target
    features = [name for name in spec.preprocessing.features if name in frame.columns and name not in meant]
    found = list(leaks(frame, features, spec.data.target))
    entire, near = ([str(leak) for leak in found if leak.entirely is entirely] for entirely in (True, False))
    remedy = (
        "leave it out of preprocessing; if it is known before the target is, and meant, name it under "
        "validation.known_before_target"
    )
    yield _verdict("no feature gives the target away", None, not entire, _told(entire, "away"), remedy)
    remedy = "check that it is known before the target is"
    observed = _told(near, "all but away")
    yield _verdict("no feature all but gives the target away", None, not near, observed, remedy, Severity.WARNING)


def _guard_repeats(frame: "pd.DataFrame") -> Finding:
    """Equal rows of a table in which they are not likely, by the place of the first of them."""
    import numpy as np

    often = np.flatnonzero(repeats(frame) >= _OFTEN)
    check = f"no row stands there {_OFTEN} times"
    remedy = "read each file once, and remove the copies at the source"
    if not len(often):
        return _verdict(check, None, True, "none does", remedy, Severity.WARNING)
    observed = f"{len(often):,} of {counted(len(frame), 'row')} that do, the first of them row {often[0] + 1:,}"
    return _verdict(check, None, False, observed, remedy, Severity.WARNING)


def _is_full(column: "pd.Series[Any]") -> bool:
    """Whether there are two values at least and none is missing: a missing one is a value to the model, too."""
    return len(column) > 1 and bool(column.notna().all())


def _has_infinity(column: "pd.Series[Any]") -> bool:
    from pandas.api import types

    return types.is_float_dtype(column.dtype) and bool((column.abs() == float("inf")).any())


def _told(leaks: list[str], how: str) -> str:
    return f"given {how} by {', '.join(leaks[:_MOST_SHOWN])}{_more(leaks)}" if leaks else "by none"


def _names(names: list[str], what: str) -> str:
    return f"{what}: {', '.join(names[:_MOST_SHOWN])}{_more(names)}" if names else f"none {what}"


def _more(names: list[str]) -> str:
    return f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""


def _verdict(
    check: str, column: str | None, passed: bool, observed: str, remedy: str, severity: Severity = Severity.CRITICAL
) -> Finding:
    outcome = Outcome.PASSED if passed else Outcome.FAILED
    where = f"{column}: " if column else ""
    message = f"{where}{check}: {observed}" if passed else f"{where}expected that {check}, found {observed}: {remedy}"
    return Finding(check, column, severity, outcome, observed, message)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """What did not pass first, the most severe of it at the top; otherwise in the given order."""
    ranks = list(Severity)
    return tuple(sorted(findings, key=lambda one: (one.passed, ranks.index(one.severity))))
