import math
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.codecs.mlflow import columns_of_mlflow
from deployments.serving.input_validation import Unanswerable, array_of_numbers, batch_of
from deployments.serving.model_metadata import Feature, Kind
from deployments.serving.request_limits import Limits

HOUR = Feature("hour", Kind.NUMERIC, "double", required=True)
CARRIER = Feature("carrier", Kind.CATEGORICAL, "string", required=False)
FEATURES = (HOUR, CARRIER)


def frame_from(document: Any, rows: int = 100) -> pd.DataFrame:
    limits = Limits(rows=rows, unknown_columns=True)
    return batch_of(columns_of_mlflow(document, FEATURES), FEATURES, limits).frame(FEATURES)


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["carrier", "hour"], "data": [["UA", 5], [None, None]]}},
        {"dataframe_split": {"columns": ["hour", "x", "carrier"], "index": [7, 8], "data": [[5, 1, "UA"], [None] * 3]}},
        {"dataframe_records": [{"hour": 5, "carrier": "UA"}, {"hour": None}]},
        {"instances": [{"hour": 5.0, "carrier": "UA"}, {"hour": None, "carrier": None, "x": {"y": 1}}]},
        {"instances": [[5, "UA"], [None, None]]},
        {"inputs": {"hour": [5, None], "carrier": ["UA", None]}},
        {"inputs": [[5, "UA"], [None, None]]},
        {"inputs": [{"hour": 5, "carrier": "UA"}, {"hour": None}]},
        {"instances": {"hour": [5, None], "carrier": ["UA", None]}},
        {"dataframe_records": [{"hour": 5, "carrier": "UA"}, {"hour": None}], "params": {"temperature": 1}},
    ],
)
def test_every_form_of_a_request_gives_the_same_frame(document: Any) -> None:
    frame = frame_from(document)
    assert list(frame.columns) == ["hour", "carrier"]
    assert [str(kind) for kind in frame.dtypes] == ["float64", "object"]
    assert frame["hour"][0] == 5.0
    assert math.isnan(frame["hour"][1])
    assert frame["carrier"].tolist() == ["UA", None]


@pytest.mark.parametrize(
    "document",
    [
        {"dataframe_split": {"columns": ["hour", "Carrier"], "data": [[5, "UA"]]}},
        {"dataframe_records": [{"hour": 5, "carrier": "UA"}, {"hour": 5, "Carrier": "UA"}]},
        {"instances": [{"hour": 5, "Carrier": "UA"}]},
        {"inputs": {"hour": [5], "Carrier": ["UA"]}},
    ],
)
def test_a_column_that_the_model_does_not_take_may_be_a_slip_and_is_named(document: Any) -> None:
    with pytest.raises(Unanswerable, match="takes no column 'Carrier': leave it out; it takes hour") as refused:
        batch_of(columns_of_mlflow(document, FEATURES), FEATURES, Limits())
    assert refused.value.status == 422


@pytest.mark.parametrize(("row", "name"), [({"hour": None, "carrier": "UA"}, "hour"), ({"hour": 1}, "carrier")])
def test_null_is_refused_where_it_is_no_value(row: Any, name: str) -> None:
    columns = columns_of_mlflow({"dataframe_records": [{"hour": 1, "carrier": "UA"}, row]}, FEATURES)
    assert batch_of(columns, FEATURES, Limits()).rows == 2
    with pytest.raises(Unanswerable, match=f"column '{name}' holds null"):
        batch_of(columns, FEATURES, Limits(missing=False))


def test_a_category_that_training_never_saw_is_refused_where_it_is_no_value() -> None:
    features = (HOUR, replace(CARRIER, categories=frozenset({"UA"})))
    known, new = ({"hour": [1, 2], "carrier": [carrier, None]} for carrier in ("UA", "s3cret"))
    limits = Limits(unknown_categories=False)
    assert batch_of(known, features, limits).categories == (["UA", None],)
    with pytest.raises(Unanswerable, match="column 'carrier' holds a category that training never saw"):
        batch_of(new, features, limits)
    assert batch_of(new, FEATURES, limits).rows == 2  # nobody knows the categories


@pytest.mark.parametrize(
    ("value", "written"), [(7, "7"), (7.0, "7"), (7.5, "7.5"), (True, "true"), (False, "false"), ("7", "7"), ("", None)]
)
def test_categories_are_written_as_in_training(value: Any, written: str | None) -> None:
    frame = frame_from({"dataframe_records": [{"hour": 1, "carrier": value}]})
    assert frame["carrier"].tolist() == [written]


def test_categories_are_written_as_training_writes_them() -> None:
    from tasks.models.features import as_category

    for value in ("UA", 7, 7.0, 7.5, True, False, -3, 1e300, 2**60):
        frame = frame_from({"dataframe_records": [{"hour": 1, "carrier": value}]})
        assert frame["carrier"].tolist() == [as_category(value)]


@pytest.mark.parametrize(
    ("document", "status", "said"),
    [
        ([], 400, "exactly one of dataframe_split"),
        ({}, 400, "exactly one of"),
        ({"instances": [], "inputs": []}, 400, "exactly one of"),
        ({"dataframe_split": []}, 400, "dataframe_split needs"),
        ({"dataframe_split": {"columns": [1], "data": []}}, 400, "dataframe_split needs"),
        ({"dataframe_split": {"columns": ["hour"], "data": [5]}}, 400, "dataframe_split needs"),
        ({"dataframe_split": {"columns": ["hour", "hour"], "data": [[1, 2]]}}, 422, "given twice"),
        ({"dataframe_split": {"columns": ["hour"], "data": [[1], [1, 2]]}}, 422, "row 1 has 2 values for 1 column"),
        ({"dataframe_split": {"columns": ["hour"], "data": []}}, 422, "no row"),
        ({"dataframe_split": {"columns": ["secret"], "data": [["s3cret"]]}}, 422, "takes hour, carrier"),
        ({"dataframe_records": [1]}, 400, "dataframe_records needs"),
        ({"dataframe_records": []}, 422, "no row"),
        ({"dataframe_records": [{"hour": 1}, {"carrier": "s3cret"}]}, 422, "column 'hour' is missing"),
        ({"dataframe_records": [{"hour": "s3cret"}]}, 422, "column 'hour' must hold numbers or null"),
        ({"dataframe_records": [{"hour": 1, "carrier": ["s3cret"]}]}, 422, "column 'carrier' must hold text"),
        ({"dataframe_records": [{"hour": 1, "carrier": {"a": "s3cret"}}]}, 422, "column 'carrier' must hold text"),
        ({"instances": "s3cret"}, 400, "instances and inputs need"),
        ({"instances": [[1, 2], {"hour": 1}]}, 400, "instances and inputs need"),
        ({"inputs": {"hour": "s3cret"}}, 422, "column 'hour' must hold numbers"),
        ({"inputs": {"hour": {"a": "s3cret"}}}, 400, "column 'hour' needs a list"),
        ({"inputs": {"hour": [1], "carrier": "s3cret"}}, 400, "column 'carrier' needs a list"),
        ({"inputs": {"hour": [1, 2], "carrier": ["UA"]}}, 422, "column 'carrier' has 1 value, others 2"),
        ({"inputs": {"carrier": ["UA"]}}, 422, "column 'hour' is missing"),
        ({"inputs": {"hour": [1] * 101}}, 413, "at most 100"),
    ],
)
def test_a_refusal_names_the_column_and_never_what_was_sent(document: Any, status: int, said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        frame_from(document)
    assert refused.value.status == status
    assert "s3cret" not in str(refused.value)


def test_a_value_a_column_is_one_row() -> None:
    frame = frame_from({"inputs": {"hour": 5, "carrier": "UA"}})
    assert (frame["hour"].tolist(), frame["carrier"].tolist()) == ([5.0], ["UA"])


def test_the_only_column_of_a_model_needs_no_name() -> None:
    for form in ("instances", "inputs"):
        assert columns_of_mlflow({form: [5, None]}, (HOUR,)) == {"hour": [5, None]}


def test_an_infinite_number_is_refused_by_the_name_of_its_column() -> None:
    with pytest.raises(Unanswerable, match="column 'hour' holds an infinite number"):
        batch_of({"hour": np.array([1.0, -np.inf])}, FEATURES, Limits(rows=100))


def test_a_number_that_stands_for_a_category_is_written_as_in_training_from_an_array_too() -> None:
    for sent, written in (([7, 8], ["7", "8"]), ([7.0, np.nan], ["7", None]), ([True, False], ["true", "false"])):
        batch = batch_of({"hour": [1, 2], "carrier": np.array(sent)}, FEATURES, Limits(rows=100))
        assert batch.categories == (written,)


def test_a_feature_that_may_be_absent_is_missing_in_every_row() -> None:
    assert frame_from({"inputs": {"hour": [1, 2]}})["carrier"].tolist() == [None, None]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["hour", "carrier", "columns", "data", "x"]), inner)
    ),
    max_leaves=12,
)


@given(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), json_values)
def test_whatever_json_is_sent_it_is_a_frame_or_a_refusal(form: str, value: Any) -> None:
    try:
        frame = frame_from({form: value})
    except Unanswerable as refused:
        assert 400 <= refused.status < 500
    else:
        assert list(frame.columns) == ["hour", "carrier"]
        assert frame["hour"].dtype == np.float64


@pytest.mark.parametrize("numbers", [[1, 2.5, True], [[1, 2], [3.5, 4]], [2**64 - 1, -1], [[], []]])
def test_an_array_of_numbers_is_what_numpy_makes_of_them(numbers: Any) -> None:
    made = array_of_numbers(numbers)
    assert made is not None
    assert made.tolist() == np.array(numbers).tolist()


@pytest.mark.parametrize(
    "values", [[1, None], [[1], [2, 3]], [[1], 2], [1, [2]], [{}], [{"a": 1}], [[[1]]], ["1", 2], [1, "2"], ["1"]]
)
def test_anything_else_is_no_array_of_numbers(values: Any) -> None:
    assert array_of_numbers(values) is None


def test_a_long_text_among_many_numbers_takes_no_memory() -> None:
    text = "x" * 1_000_000
    tracemalloc.start()
    assert array_of_numbers([text, *[1] * 10_000]) is None
    assert array_of_numbers([[text], *[[1]] * 10_000]) is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
