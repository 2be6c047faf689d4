import datetime as dt
from typing import Any

import pandas as pd
import pytest

from tasks.data_validation.builtin_checks import check_freshness, check_types, guard, kind_of
from tasks.data_validation.findings import Finding, Outcome, Severity
from tasks.data_validation.suite_file import Freshness, Kind
from tasks.product_spec import ProductSpec, Window

NOW = dt.datetime(2020, 6, 12, tzinfo=dt.UTC)


def _bad(frame: pd.DataFrame, spec: ProductSpec) -> list[Finding]:
    return [finding for finding in guard(frame, spec) if not finding.passed]


def _only(frame: pd.DataFrame, spec: ProductSpec) -> Finding:
    (finding,) = _bad(frame, spec)
    return finding


def test_good_rows_pass_every_guard(frame: pd.DataFrame, spec: ProductSpec) -> None:
    assert _bad(frame, spec) == []


def test_an_empty_table_is_critical(frame: pd.DataFrame, spec: ProductSpec) -> None:
    finding = _only(frame.iloc[:0], spec)
    assert (finding.check, finding.severity) == ("table has rows", Severity.CRITICAL)


@pytest.mark.parametrize("name", ["at", "heat", "place", "sold"])
def test_an_absent_column_is_critical_and_named(frame: pd.DataFrame, spec: ProductSpec, name: str) -> None:
    finding = _only(frame.drop(columns=name), spec)
    assert finding.severity is Severity.CRITICAL
    assert f"absent: {name}" in finding.message


@pytest.mark.parametrize("name", ["heat", "place"])
def test_a_feature_of_nulls_is_critical_and_named(frame: pd.DataFrame, spec: ProductSpec, name: str) -> None:
    finding = _only(frame.assign(**{name: None}), spec)
    assert (finding.check, finding.observed) == ("no feature is empty throughout", f"empty: {name}")


def test_an_empty_target_is_critical_and_counted(frame: pd.DataFrame, spec: ProductSpec) -> None:
    finding = _only(frame.assign(sold=frame["sold"].astype(float).mask(frame.index < 3)), spec)
    assert (finding.column, finding.severity, finding.observed) == ("sold", Severity.CRITICAL, "3 of 40 empty")


def test_a_repeated_key_is_critical_and_counted(frame: pd.DataFrame, spec: ProductSpec) -> None:
    finding = _only(pd.concat([frame, frame.iloc[:2]]), spec)
    assert (finding.check, finding.observed) == ("key (at) is unique", "2 rows with a key that was there before")
    assert finding.severity is Severity.CRITICAL


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_an_infinite_feature_is_critical(frame: pd.DataFrame, spec: ProductSpec, value: float) -> None:
    frame.loc[3, "heat"] = value
    assert _only(frame, spec).observed == "infinite: heat"


def test_a_feature_that_is_the_target_is_critical_unless_it_is_meant(frame: pd.DataFrame, spec: ProductSpec) -> None:
    leaking = frame.assign(heat=5.0 - 2.0 * frame["sold"])
    finding = _only(leaking, spec)
    assert (finding.check, finding.severity) == ("no feature gives the target away", Severity.CRITICAL)
    assert "heat (a straight line of the target in all 40 rows)" in finding.observed
    meant = spec.validation.model_copy(update={"known_before_target": ("heat",)})
    assert _bad(leaking, spec.model_copy(update={"validation": meant})) == []


def test_a_constant_feature_is_named(frame: pd.DataFrame, spec: ProductSpec) -> None:
    finding = _only(frame.assign(heat=7.0), spec)
    assert (finding.severity, finding.observed) == (Severity.WARNING, "constant: heat")


def test_rows_that_stand_there_three_times_are_counted_and_the_first_is_named(
    frame: pd.DataFrame, spec: ProductSpec
) -> None:
    keyless = spec.model_copy(update={"data": spec.data.model_copy(update={"key": ()})})
    assert _bad(pd.concat([frame, frame.iloc[4:5]]), keyless) == []
    finding = _only(pd.concat([frame, frame.iloc[4:6], frame.iloc[4:5]], ignore_index=True), keyless)
    assert (finding.severity, finding.observed) == (Severity.WARNING, "3 of 43 rows that do, the first of them row 5")


def test_equal_rows_of_a_table_of_few_values_are_no_news(frame: pd.DataFrame, spec: ProductSpec) -> None:
    data = spec.data.model_copy(update={"key": (), "time_column": None})
    few = pd.concat([frame[["heat", "place", "sold"]].iloc[:5]] * 40).sample(frac=1, random_state=1)
    found = [finding.check for finding in _bad(few, spec.model_copy(update={"data": data}))]
    assert "no row stands there 3 times" not in found


@pytest.mark.parametrize(("used", "severity"), [(True, Severity.CRITICAL), (False, Severity.WARNING)])
def test_a_type_of_a_column_that_nothing_uses_is_a_warning(frame: pd.DataFrame, used: bool, severity: Severity) -> None:
    [finding] = check_types(frame, {"place": Kind.NUMBER}, {"place"} if used else {"heat"})
    assert (finding.passed, finding.severity) == (False, severity)


def test_a_text_that_renames_the_classes_is_suspicious(frame: pd.DataFrame, spec: ProductSpec) -> None:
    finding = _only(frame.assign(sold=(frame["place"] == "pier").astype(int)), spec)
    assert "place" in finding.observed


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.INTEGER),
        ([1.0, None, 2.0], Kind.INTEGER),
        ([1.0, 2.0], Kind.NUMBER),
        ([1.5, None], Kind.NUMBER),
        (["a", None], Kind.TEXT),
        ([True, False], Kind.BOOLEAN),
        ([True, None], Kind.BOOLEAN),
        ([pd.Timestamp("2020-01-01"), pd.NaT], Kind.TIME),
        ([dt.date(2020, 1, 1), None], Kind.TIME),
        ([1, "a"], None),
        ([[1], [2]], None),
    ],
)
def test_a_kind_is_told_from_the_values(values: list[Any], kind: Kind | None) -> None:
    assert kind_of(pd.Series(values)) is kind


def test_nullable_integers_are_integers() -> None:
    assert kind_of(pd.Series([1, None], dtype="Int64")) is Kind.INTEGER


def _types(frame: pd.DataFrame, **types: Kind) -> list[Outcome]:
    findings = list(check_types(frame, types))
    assert all(finding.severity is Severity.CRITICAL for finding in findings)
    return [finding.outcome for finding in findings]


def test_a_wrong_type_fails_and_whole_numbers_are_numbers(frame: pd.DataFrame) -> None:
    outcomes = _types(frame, heat=Kind.NUMBER, sold=Kind.NUMBER, place=Kind.NUMBER, at=Kind.TEXT)
    assert outcomes == [Outcome.PASSED, Outcome.PASSED, Outcome.FAILED, Outcome.FAILED]


def test_a_type_without_a_value_to_look_at_is_an_error(frame: pd.DataFrame) -> None:
    assert _types(frame.assign(heat=None), heat=Kind.NUMBER, wind=Kind.NUMBER) == [Outcome.ERROR, Outcome.ERROR]


def _freshness(frame: pd.DataFrame, spec: ProductSpec, window: Window | None = None, **rule: Any) -> Finding:
    fields = Freshness.model_validate(rule)
    (finding,) = check_freshness(frame, spec, fields, window or spec.data.window, NOW)
    return finding


@pytest.mark.parametrize(
    ("until", "max_age", "outcome"),
    [
        ("window", "1d", Outcome.PASSED),
        ("window", "23h", Outcome.FAILED),
        ("now", "3d", Outcome.PASSED),
        ("now", "2d", Outcome.FAILED),
        (dt.date(2020, 6, 10), "1d", Outcome.PASSED),
        (dt.date(2020, 7, 10), "1d", Outcome.FAILED),
    ],
)
def test_the_newest_row_is_compared_with_what_the_suite_names(
    frame: pd.DataFrame, spec: ProductSpec, until: Any, max_age: str, outcome: Outcome
) -> None:
    assert _freshness(frame, spec, until=until, max_age=max_age).outcome is outcome


def test_an_open_window_ends_now(frame: pd.DataFrame, spec: ProductSpec) -> None:
    assert _freshness(frame, spec, Window(), max_age="2d").outcome is Outcome.FAILED
    assert _freshness(frame, spec, Window(), max_age="3d").outcome is Outcome.PASSED


def test_a_row_of_the_future_is_not_fresh(frame: pd.DataFrame, spec: ProductSpec) -> None:
    later = frame.assign(at=frame["at"] + pd.Timedelta(days=30))
    finding = _freshness(later, spec, until="now", max_age="9w")
    assert finding.outcome is Outcome.FAILED
    assert "lie ahead" in finding.message


def test_freshness_without_a_time_is_an_error(frame: pd.DataFrame, spec: ProductSpec) -> None:
    assert _freshness(frame.drop(columns="at"), spec, max_age="1d").outcome is Outcome.ERROR
