import json
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from tasks.data_validation.suite_file import Suite
from tasks.data_validation.suite_profiler import propose_suite
from tasks.problem_types import TaskKind
from tasks.product_spec import ProductSpec, as_moment


def _about(proposed: dict[str, Any], column: str) -> dict[str, dict[str, Any]]:
    return {one["type"]: one for one in proposed["expectations"] if one["kwargs"].get("column") == column}


def test_a_proposal_is_a_suite(frame: pd.DataFrame, spec: ProductSpec) -> None:
    suite = Suite.model_validate_json(json.dumps(propose_suite(frame, spec)))
    assert suite.name == "ices"
    assert {name: kind.value for name, kind in suite.meta.seatrial.types.items()} == {
        "at": "time",
        "heat": "number",
        "place": "text",
        "sold": "integer",
    }


def test_a_range_has_room_on_both_sides_but_not_below_nothing(frame: pd.DataFrame, spec: ProductSpec) -> None:
    limits = _about(propose_suite(frame, spec), "heat")["expect_column_values_to_be_between"]["kwargs"]
    assert limits["min_value"] < frame["heat"].min()
    assert limits["max_value"] > frame["heat"].max()
    sold = _about(propose_suite(frame, spec), "sold")["expect_column_values_to_be_between"]["kwargs"]
    assert (sold["min_value"], sold["max_value"]) == (0, 18)


def test_few_different_texts_become_a_domain_and_many_do_not(frame: pd.DataFrame, spec: ProductSpec) -> None:
    few = _about(propose_suite(frame, spec), "place")
    assert few["expect_column_values_to_be_in_set"]["kwargs"]["value_set"] == ["park", "pier"]
    many = frame.assign(place=[f"person {row}" for row in range(len(frame))])
    assert "expect_column_values_to_be_in_set" not in _about(propose_suite(many, spec), "place")
    assert "person" not in str(propose_suite(many, spec))


def test_nulls_are_critical_where_training_needs_values(frame: pd.DataFrame, spec: ProductSpec) -> None:
    proposed = propose_suite(frame.assign(heat=frame["heat"].mask(frame.index < 4)), spec)
    rule = "expect_column_values_to_not_be_null"
    assert _about(proposed, "sold")[rule]["severity"] == "critical"
    assert _about(proposed, "at")[rule]["severity"] == "critical"
    heat = _about(proposed, "heat")[rule]
    assert (heat["severity"], heat["kwargs"]["mostly"]) == ("warning", 0.78)


def test_the_classes_of_a_target_are_critical_and_their_share_a_warning(frame: pd.DataFrame, spec: ProductSpec) -> None:
    classified = spec.model_copy(update={"model": spec.model.model_copy(update={"task": TaskKind.CLASSIFICATION})})
    target = _about(propose_suite(frame.assign(sold=frame.index % 4 // 3), classified), "sold")
    domain, share = target["expect_column_values_to_be_in_set"], target["expect_column_mean_to_be_between"]
    assert (domain["severity"], domain["kwargs"]["value_set"]) == ("critical", [0, 1])
    assert (share["severity"], share["kwargs"]["min_value"], share["kwargs"]["max_value"]) == ("warning", 0.125, 0.5)


def test_freshness_allows_three_times_the_longest_gap(frame: pd.DataFrame, spec: ProductSpec) -> None:
    assert propose_suite(frame, spec)["meta"]["seatrial"]["freshness"]["max_age"] == "1w"
    sparse = frame.iloc[[0, 39]]
    assert propose_suite(sparse, spec)["meta"]["seatrial"]["freshness"]["max_age"] == "365d"
    ancient = sparse.assign(**{spec.data.time_column: sparse[spec.data.time_column].dt.as_unit("us")})
    ancient.loc[0, spec.data.time_column] = pd.Timestamp("0449-06-05", tz="UTC")
    assert propose_suite(ancient, spec)["meta"]["seatrial"]["freshness"]["max_age"] == "36525d"


@pytest.mark.parametrize(
    ("age", "allowed"), [(timedelta(days=-3), "1w"), (timedelta(days=8), "2w"), (timedelta(days=900), "901d")]
)
def test_rows_that_are_old_already_are_no_warning_of_the_first_release(
    frame: pd.DataFrame, spec: ProductSpec, age: timedelta, allowed: str
) -> None:
    now = as_moment(frame["at"].max().to_pydatetime()) + age + timedelta(hours=1)
    suite = propose_suite(frame, spec, now)
    assert suite["meta"]["seatrial"]["freshness"]["max_age"] == allowed


def test_odd_columns_do_not_stop_a_proposal(frame: pd.DataFrame, spec: ProductSpec) -> None:
    odd = frame.assign(empty=None, constant=7, endless=float("inf"), flag=True, mixed=[1, "a"] * 20, heat=None)
    proposed = propose_suite(odd, spec)
    assert "mixed" not in proposed["meta"]["seatrial"]["types"]
    assert _about(proposed, "heat")["expect_column_values_to_not_be_null"]["kwargs"]["mostly"] == 0.0
