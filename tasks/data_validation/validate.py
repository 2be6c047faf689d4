"""The whole validation of a table: guards that are always on, the suite's own section, its expectations."""

from pathlib import Path
from typing import TYPE_CHECKING

from deployments.clock import Clock, SystemClock
from tasks.data_validation.builtin_checks import by_severity, check_freshness, check_types, guard
from tasks.data_validation.expectations import check_expectations, warm_up
from tasks.data_validation.findings import Finding, ValidationReport
from tasks.data_validation.inferred_types import as_guessed
from tasks.data_validation.suite_file import Suite, load_suite
from tasks.data_validation.used_columns import used_columns, without_refusals_by_others
from tasks.datasets.snapshot import load_rows
from tasks.product_spec import ProductSpec, Window

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_suite", "validate", "validate_snapshot", "warm_up"]


def validate(
    frame: "pd.DataFrame",
    suite_path: Path,
    spec: ProductSpec,
    window: Window | None = None,
    clock: Clock | None = None,
) -> ValidationReport:
    """Everything that was found about `frame`, what did not pass first.

    `window` is the one the rows were picked by, None for the spec's; freshness is measured against its end. Raises
    `NotFound` or `BadSpec` for a suite that cannot be used; bad data is a finding, never an exception.
    """
    suite = without_refusals_by_others(load_suite(suite_path), spec)
    judged = as_guessed(frame, suite.meta.seatrial.types, spec)
    findings = [
        *guard(frame, spec),
        *_own_rules(judged, suite, spec, window or spec.data.window, clock or SystemClock()),
        *check_expectations(judged, suite),
    ]
    return ValidationReport(by_severity(findings), len(frame), suite_path.name)


def validate_snapshot(
    snapshot_path: Path, suite_path: Path, spec: ProductSpec, window: Window | None = None
) -> ValidationReport:
    """`validate` on a snapshot's file, for a child process that called `warm_up`: all that goes in or out pickles."""
    return validate(load_rows(snapshot_path), suite_path, spec, window)


def _own_rules(frame: "pd.DataFrame", suite: Suite, spec: ProductSpec, window: Window, clock: Clock) -> list[Finding]:
    rules = suite.meta.seatrial
    findings = list(check_types(frame, rules.types, used_columns(spec)))
    if rules.freshness is not None:
        findings += check_freshness(frame, spec, rules.freshness, window, clock.now())
    return findings
