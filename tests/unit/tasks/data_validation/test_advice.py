"""Advice on data and suites is followed here, and helps."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from deployments.errors import BadSpec, NotFound
from tasks.data_validation.builtin_checks import check_freshness, check_types, guard
from tasks.data_validation.findings import Severity
from tasks.data_validation.suite_file import Freshness, Kind, load_suite
from tasks.data_validation.validate import validate
from tasks.product_spec import ProductSpec, Window
from tests.advice import followed

NOW = dt.datetime(2020, 6, 12, tzinfo=dt.UTC)


def bad(frame: pd.DataFrame, spec: ProductSpec) -> list[str]:
    return [finding.message for finding in guard(frame, spec) if not finding.passed]


Change = Callable[[pd.DataFrame], pd.DataFrame]
GUARDED: list[tuple[Change, str, Change]] = [
    (
        lambda frame: frame.assign(sold=frame["sold"].astype(float).mask(frame.index < 3)),
        followed("leave these rows out at the source", "tasks/data_validation/builtin_checks.py"),
        lambda frame: frame.dropna(subset=["sold"]),
    ),
    (
        lambda frame: pd.concat([frame, frame.iloc[:2]]),
        followed("remove the copies, or correct data.key"),
        lambda frame: frame.drop_duplicates(),
    ),
    (
        lambda frame: frame.assign(heat=frame["sold"] * 2.0 + frame.index % 7 / 20),
        followed("check that it is known before the target is"),
        lambda frame: frame.assign(heat=frame["sold"].shift(1).fillna(0)),
    ),
    (
        lambda frame: frame.drop(columns="heat"),
        followed("correct the spec", "tasks/data_validation/builtin_checks.py"),
        lambda frame: frame.assign(heat=range(len(frame))),
    ),
]


def with_place_alone(spec: ProductSpec) -> ProductSpec:
    return spec.model_copy(update={"preprocessing": spec.preprocessing.model_copy(update={"numeric": None})})


def test_a_feature_that_gives_the_target_away_is_left_out_or_named(frame: pd.DataFrame, spec: ProductSpec) -> None:
    leaking = frame.assign(heat=frame["sold"] * 2.0)
    advice = followed(
        "leave it out of preprocessing; if it is known before the target is, and meant, name it under "
        "validation.known_before_target"
    )
    [said] = bad(leaking, spec)
    assert advice in said
    assert bad(leaking, with_place_alone(spec)) == []
    meant = spec.validation.model_copy(update={"known_before_target": ("heat",)})
    assert bad(leaking, spec.model_copy(update={"validation": meant})) == []


def test_a_constant_feature_is_left_out(frame: pd.DataFrame, spec: ProductSpec) -> None:
    [said] = bad(frame.assign(heat=1.0), spec)
    assert followed("leave them out of preprocessing: they tell no row from another") in said
    assert bad(frame.assign(heat=1.0), with_place_alone(spec)) == []


@pytest.mark.parametrize(("harm", "told", "mend"), GUARDED, ids=[told for _, told, _ in GUARDED])
def test_rows_that_were_mended_pass(
    frame: pd.DataFrame, spec: ProductSpec, harm: Change, told: str, mend: Change
) -> None:
    harmed = harm(frame)
    [said] = bad(harmed, spec)
    assert told in said
    assert bad(mend(harmed), spec) == []


def test_a_column_that_is_converted_is_of_its_kind(frame: pd.DataFrame) -> None:
    wrong = frame.assign(heat=frame["heat"].astype(str))
    [found] = check_types(wrong, {"heat": Kind.NUMBER})
    assert followed("convert the column, or correct meta.seatrial.types") in found.message
    for right, kind in ((frame, Kind.NUMBER), (wrong, Kind.TEXT)):
        assert next(iter(check_types(right, {"heat": kind}))).passed


def test_newer_rows_are_fresh(frame: pd.DataFrame, spec: ProductSpec) -> None:
    rule = Freshness(max_age=dt.timedelta(days=2), severity=Severity.CRITICAL, until="now")
    window = Window()
    [found] = check_freshness(frame, spec, rule, window, NOW)
    assert followed("ingest newer rows, or move data.window") in found.message
    later = frame.assign(at=frame["at"] + pd.Timedelta(days=2))
    assert next(iter(check_freshness(later, spec, rule, window, NOW))).passed


def test_an_expectation_that_is_widened_holds(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: Callable[..., Path]
) -> None:
    def found(most: int) -> Any:
        kwargs = {"column": "heat", "max_value": most}
        suite = write_suite({"type": "expect_column_values_to_be_between", "kwargs": kwargs, "severity": "critical"})
        return [each for each in validate(frame, suite, spec).findings if not each.passed]

    [failed] = found(20)
    assert followed("look at the source, or widen the expectation if the data is right") in failed.message
    assert found(30) == []


def test_a_type_is_told_in_our_own_section(
    frame: pd.DataFrame, spec: ProductSpec, write_suite: Callable[..., Path]
) -> None:
    kwargs = {"column": "heat", "type_": "float64"}
    by_type = {"type": "expect_column_values_to_be_of_type", "kwargs": kwargs, "severity": "critical"}
    with pytest.raises(BadSpec) as error:
        validate(frame, write_suite(by_type), spec)
    assert followed("name the column under meta.seatrial.types instead") in str(error.value)
    assert validate(frame, write_suite(types={"heat": "number"}), spec).passed


def test_a_suite_that_is_not_there_is_written(write_suite: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(NotFound) as error:
        load_suite(tmp_path / "ices.suite.json")
    assert followed("check validation.suite, or let `seatrial profile` propose one") in str(error.value)
    with pytest.raises(BadSpec) as folder:
        load_suite(tmp_path)
    assert followed("is a folder: give the suite's JSON file") in str(folder.value)
    assert load_suite(write_suite()).expectations == ()
