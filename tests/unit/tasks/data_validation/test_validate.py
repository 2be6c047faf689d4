"""Great Expectations itself is imported here: about six seconds, once."""

import datetime as dt
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deployments.clock import ManualClock
from deployments.errors import BadSpec, NotFound
from tasks.data_validation.findings import Finding, Outcome, Severity, ValidationReport
from tasks.data_validation.suite_profiler import propose_suite
from tasks.data_validation.validate import validate, validate_snapshot
from tasks.datasets.snapshot import load_snapshot, take_snapshot
from tasks.product_spec import ColumnSection, ColumnType, ProductSpec, Window
from tasks.spec_file import load_product

WriteSuite = Callable[..., Path]
PROJECT = Path(__file__).parents[4]


def _expect(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "severity": severity, "kwargs": kwargs}


def _of_suite(report: ValidationReport) -> list[Finding]:
    """Findings beyond the guards, which test_guards.py looks at."""
    return [
        finding for finding in report.findings if finding.check.startswith(("values to", "mean", "unique", "table c"))
    ]


IN_RANGE = _expect("column_values_to_be_between", column="heat", min_value=0, max_value=40)


def test_good_rows_pass(frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite) -> None:
    report = validate(frame, write_suite(IN_RANGE, types={"heat": "number"}), spec)
    assert report.passed
    assert report.rows == 40
    assert report.suite == "ices.suite.json"
    assert {finding.outcome for finding in report.findings} == {Outcome.PASSED}


@pytest.mark.parametrize(("severity", "passed"), [("critical", False), ("warning", True), ("info", True)])
def test_only_a_critical_expectation_refuses(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite, severity: str, passed: bool
) -> None:
    frame.loc[:3, "heat"] = 99.0
    report = validate(frame, write_suite(IN_RANGE | {"severity": severity}), spec)
    assert report.passed is passed
    assert len(report.critical) == (severity == "critical")
    assert len(report.warnings) == (severity == "warning")
    first = report.findings[0]
    assert (first.column, first.severity, first.outcome) == ("heat", Severity(severity), Outcome.FAILED)
    assert first.observed == "4 of 40 unexpected (10 %)"


def test_a_column_of_nulls_never_passes(frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite) -> None:
    guarded = spec.model_copy(update={"validation": spec.validation.model_copy(update={"guarded": ("extra",)})})
    report = validate(frame.assign(extra=None), write_suite(_range_of("extra")), guarded)
    (finding,) = _of_suite(report)
    assert finding.outcome is Outcome.ERROR
    assert not report.passed


def test_a_column_that_nothing_uses_only_warns_unless_the_spec_guards_it(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    data = frame.assign(extra="x", other=None)
    suite = write_suite(
        _range_of("extra"),
        _expect("column_values_to_not_be_null", column="other"),
        types={"extra": "number", "other": "number", "gone": "time"},
    )
    report = validate(data, suite, spec)
    assert report.passed
    assert {finding.column for finding in report.warnings} == {"extra", "other", "gone"}
    guarded = spec.validation.model_copy(update={"guarded": ("gone",)})
    [refused] = validate(data, suite, spec.model_copy(update={"validation": guarded})).critical
    assert refused.column == "gone"


def test_an_expectation_about_a_used_column_and_another_still_refuses(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    both = _expect("column_pair_values_a_to_be_greater_than_b", column_A="heat", column_B="extra")
    assert not validate(frame.assign(extra=99.0), write_suite(both), spec).passed


def _range_of(column: str) -> dict[str, Any]:
    return _expect("column_values_to_be_between", column=column, min_value=0, max_value=40)


def test_an_empty_table_never_passes(frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite) -> None:
    suite = write_suite(IN_RANGE, _expect("column_values_to_not_be_null", column="heat"), types={"heat": "number"})
    report = validate(frame.iloc[:0], suite, spec)
    assert not report.passed
    assert {finding.outcome for finding in _of_suite(report)} == {Outcome.ERROR}


def test_a_column_that_is_absent_is_an_error_of_that_check(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    report = validate(frame, write_suite(_range_of("wind") | {"severity": "info"}, IN_RANGE), spec)
    error, passed = _of_suite(report)
    assert (error.outcome, error.observed) == (Outcome.ERROR, "there is no column wind")
    assert passed.outcome is Outcome.PASSED
    assert report.passed
    assert report.warnings == (error,)


def test_a_check_that_raises_is_an_error_and_shows_no_value(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    report = validate(frame.assign(place="Ann Secret"), write_suite(_range_of("place")), spec)
    (finding,) = _of_suite(report)
    assert finding.outcome is Outcome.ERROR
    assert "TypeError" in finding.observed
    assert "Secret" not in finding.message
    assert not report.passed


@pytest.mark.parametrize(
    "expectation",
    [
        _expect("column_values_to_be_in_set", column="place", value_set=["park"]),
        _expect("column_distinct_values_to_be_in_set", column="place", value_set=["park"]),
        _expect("column_values_to_match_regex", column="place", regex="^x"),
        _expect("compound_columns_to_be_unique", column_list=["place", "name"]),
        _expect("column_most_common_value_to_be_in_set", column="name", value_set=["x"]),
        _expect("column_max_to_be_between", column="name", max_value=1),
    ],
)
def test_no_finding_shows_a_rows_own_value(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite, expectation: dict[str, Any]
) -> None:
    data = frame.assign(place=frame["place"].where(frame.index > 0, "Ann Secret"), name="Ann Secret")
    report = validate(data, write_suite(expectation), spec)
    shown = json.dumps([[finding.check, finding.observed, finding.message] for finding in report.findings])
    assert "Secret" not in shown
    assert any(not finding.passed for finding in report.findings)


def test_an_expectation_that_is_not_known_is_refused_not_dropped(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    suite = write_suite(
        IN_RANGE,
        _expect("column_values_to_be_betwen", column="heat", min_value=0),
        _expect("column_values_to_be_between", column="heat", minimum=0),
        _expect("column_values_to_be_of_type", column="heat", type_="float"),
    )
    with pytest.raises(BadSpec) as caught:
        validate(frame, suite, spec)
    said = str(caught.value)
    assert "3 expectations cannot be used" in said
    assert (
        "expectations.1 (expect_column_values_to_be_betwen): unknown, perhaps expect_column_values_to_be_between"
        in said
    )
    assert "expectations.2 (expect_column_values_to_be_between): minimum" in said
    assert "meta.seatrial.types" in said


def test_unexpected_columns_are_named(frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite) -> None:
    suite = write_suite(_expect("table_columns_to_match_set", column_set=[*frame.columns], exact_match=True))
    report = validate(frame.assign(wind=1), suite, spec)
    assert [finding.observed for finding in report.critical] == ["unexpected columns: wind"]


def test_the_same_expectation_twice_is_two_findings(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    report = validate(frame, write_suite(IN_RANGE, IN_RANGE | {"severity": "warning"}), spec)
    assert [finding.severity for finding in _of_suite(report)] == [Severity.CRITICAL, Severity.WARNING]


def test_freshness_follows_the_window_and_the_clock_that_are_given(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    suite = write_suite(freshness={"max_age": "2d"})
    assert validate(frame, suite, spec).passed
    assert not validate(frame, suite, spec, Window(end=dt.date(2020, 7, 1))).passed
    shortly_after = ManualClock(dt.datetime(2020, 6, 10, tzinfo=dt.UTC))
    assert validate(frame, suite, spec, Window(), shortly_after).passed


def test_validating_leaves_the_frame_as_it_was(frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite) -> None:
    before = frame.copy(deep=True)
    validate(frame, write_suite(IN_RANGE), spec)
    pd.testing.assert_frame_equal(frame, before)


def test_a_proposed_suite_passes_on_its_own_data_and_notices_others(
    frame: pd.DataFrame, spec: ProductSpec, tmp_path: Path
) -> None:
    path = tmp_path / "proposed.json"
    path.write_text(json.dumps(propose_suite(frame, spec)))
    report = validate(frame, path, spec)
    assert report.passed
    assert report.warnings == ()
    changed = frame.assign(heat=frame["heat"] + 100, place="boat")
    noticed = {finding.column for finding in validate(changed, path, spec).warnings}
    assert {"heat", "place"} <= noticed


@pytest.mark.parametrize("product", ["flights", "bikeshare"])
def test_the_examples_pass_and_their_spoiled_copies_do_not(product: str, tmp_path: Path) -> None:
    spec = load_product(PROJECT / "specs" / f"{product}.yaml")
    suite = Path(spec.validation.suite)
    snapshot = take_snapshot(spec, tmp_path)
    report = validate_snapshot(snapshot.path, suite, spec)
    assert report.passed, [finding.message for finding in report.critical]
    assert report.warnings == ()
    frame = load_snapshot(snapshot)
    spoiled = validate(frame.assign(temp=9999.0), suite, spec)
    assert {finding.column for finding in spoiled.critical} == {"temp"}


def test_all_that_crosses_a_process_border_pickles(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    report = validate(frame.assign(heat=None), write_suite(IN_RANGE, _range_of("wind")), spec)
    for crossing in (report, spec, (validate_snapshot, Path("x"), Window())):
        assert pickle.loads(pickle.dumps(crossing)) == crossing  # noqa: S301 - our own bytes
    with pytest.raises(NotFound) as caught:
        validate_snapshot(Path("/nowhere/x.parquet"), Path("y.json"), spec)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("types", "passed"),
    [({"place": "integer"}, True), ({}, True), ({"place": "text"}, False), ({"place": "time"}, False)],
)
def test_a_suite_goes_on_by_the_type_that_a_csv_reader_guesses_unless_it_says_text(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite, types: dict[str, str], passed: bool
) -> None:
    frame["place"] = ["01067" if day % 2 else "1067" for day in range(40)]
    frame.loc[7, "place"] = None
    expected = _expect("column_values_to_be_between", column="place", min_value=1000, max_value=2000)
    assert validate(frame, write_suite(expected, types=types), spec).passed is passed


def test_a_declared_column_is_what_it_is_declared_to_be_to_the_suite_too(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: WriteSuite
) -> None:
    frame["place"] = ["01067" if day % 2 else "1067" for day in range(40)]
    declared = spec.data.model_copy(update={"columns": {"place": ColumnSection(type=ColumnType.CATEGORY)}})
    suite = write_suite(types={"place": "text"})
    assert validate(frame, suite, spec.model_copy(update={"data": declared})).passed
    other = write_suite(types={"place": "integer"})
    assert not validate(frame, other, spec.model_copy(update={"data": declared})).passed
