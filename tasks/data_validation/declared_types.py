"""Whether the values of columns are what the spec declares: all broken columns at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tasks.data_validation.column_kinds import kind_of
from tasks.data_validation.findings import Finding, Outcome, Severity
from tasks.data_validation.suite_file import Kind
from tasks.data_validation.used_columns import used_columns
from tasks.datasets.column_types import Reading, as_declared, remedy
from tasks.datasets.fingerprint import plain
from tasks.product_spec import ColumnType, ProductSpec

if TYPE_CHECKING:
    import pandas as pd

_READ_ALREADY = {
    ColumnType.NUMBER: {Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN},
    ColumnType.BOOLEAN: {Kind.BOOLEAN},
    ColumnType.TIME: {Kind.TIME},
}


def read_as_declared(frame: "pd.DataFrame", spec: ProductSpec) -> tuple["pd.DataFrame", list[Finding]]:
    """A snapshot's rows with null for each value that cannot be read as declared, and a finding for every such column.

    Critical for columns that the spec uses, a warning for others. A finding shows up to three of the values, with the
    row of `frame` (from 1 on) where each stands first. Where all can be read, one finding says so.
    """
    read: dict[str, pd.Series[Any]] = {}
    findings: list[Finding] = []
    for name, reading in _unreadable(frame, spec):
        read[name] = reading.values.to_pandas().set_axis(frame.index)
        severity = Severity.CRITICAL if name in used_columns(spec) else Severity.WARNING
        message = f"column {name!r} {reading.unreadable}: {remedy(name, spec.data)}"
        check = f"values can be read as {spec.data.columns[name].type.value}"
        findings.append(Finding(check, name, severity, Outcome.FAILED, reading.unreadable, message))
    if spec.data.columns and not findings:
        check, observed = "values can be read as they are declared", f"all of {len(spec.data.columns)} declared"
        findings.append(Finding(check, None, Severity.CRITICAL, Outcome.PASSED, observed, f"{check}: {observed}"))
    return (frame.assign(**read) if read else frame), findings


def _unreadable(frame: "pd.DataFrame", spec: ProductSpec) -> Iterator[tuple[str, Reading]]:
    """A snapshot keeps such columns as its source has them."""
    import pyarrow as pa

    for name, declared in spec.data.columns.items():
        if name not in frame.columns or declared.type is ColumnType.CATEGORY:
            continue
        column = frame[name]
        if kind_of(column) in _READ_ALREADY[declared.type] or column.isna().all():
            continue
        try:
            values = plain(pa.chunked_array([pa.Array.from_pandas(column)]))
        except pa.ArrowException:
            values = pa.chunked_array([pa.array(column.map(repr, na_action="ignore"), pa.large_string())])
        reading = as_declared(values, declared, spec.data.source)
        if reading.unreadable:
            yield name, reading
