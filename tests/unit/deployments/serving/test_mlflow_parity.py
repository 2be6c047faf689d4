"""What MLflow's own scoring server makes of a request is what we make of it."""

import csv
import io
import json
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.serving.codecs.mlflow import MlflowDialect
from deployments.serving.input_validation import Unanswerable
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.request_limits import Limits

NAMES = ("distance", "hour", "carrier", "origin")
FEATURES = (
    *(Feature(name, Kind.NUMERIC, "double", required=True) for name in NAMES[:2]),
    *(Feature(name, Kind.CATEGORICAL, "string", required=True) for name in NAMES[2:]),
)
DIALECT = MlflowDialect(Description("flights", Output.PREDICTION, (), FEATURES), Limits())

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32) | st.none()
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1, max_size=6).map(
    lambda text: f"_{text}"
)
rows = st.lists(st.tuples(numbers, numbers, texts | st.none(), texts | st.none()), min_size=1, max_size=4)
orders = st.permutations(NAMES)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def theirs() -> Any:
    """MLflow's parser and the check against the signature that comes after it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.models.utils import _enforce_schema
        from mlflow.pyfunc.scoring_server import infer_and_parse_data, parse_csv_input
        from mlflow.types import ColSpec, DataType, Schema

    types = {Kind.NUMERIC: DataType.double, Kind.CATEGORICAL: DataType.string}
    schema = Schema([ColSpec(types[each.kind], each.name) for each in FEATURES])

    def read(content: Any) -> pd.DataFrame:
        parsed = parse_csv_input(io.StringIO(content), schema) if isinstance(content, str) else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _enforce_schema(infer_and_parse_data(content, schema) if parsed is None else parsed, schema)

    return read


def same(body: str, kind: bytes, expected: pd.DataFrame, tolerance: float = 0) -> None:
    frame = DIALECT.read({b"content-type": kind}, body.encode()).batch.frame(FEATURES)
    assert list(frame.columns) == list(expected.columns)
    for name in NAMES[:2]:
        np.testing.assert_allclose(frame[name].to_numpy(), expected[name].to_numpy(np.float64), rtol=tolerance)
    for name in NAMES[2:]:
        assert frame[name].tolist() == [None if pd.isna(value) else value for value in expected[name]]


def document_in(form: str, table: list[tuple[Any, ...]], order: tuple[str, ...]) -> dict[str, Any]:
    records = [dict(zip(NAMES, row, strict=True)) for row in table]
    ordered = [[record[name] for name in order] for record in records]
    match form:
        case "dataframe_split":
            return {form: {"columns": list(order), "data": ordered}}
        case "dataframe_records" | "instances":
            return {form: [dict(zip(order, row, strict=True)) for row in ordered]}
        case _:
            return {form: {name: [record[name] for record in records] for name in order}}


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records"])
@unhurried
@given(table=rows, order=orders)
def test_json_is_read_as_mlflow_reads_it(theirs: Any, form: str, table: Any, order: Any) -> None:
    document = document_in(form, table, order)
    same(json.dumps(document), b"application/json", theirs(json.loads(json.dumps(document))))


@pytest.mark.parametrize("form", ["instances", "inputs"])
@unhurried
@given(table=rows, order=orders)
def test_tensors_are_read_as_mlflow_reads_them(theirs: Any, form: str, table: Any, order: Any) -> None:
    # MLflow makes the text "None" of a null among texts here, which nobody means.
    whole = [(row[0], row[1], row[2] or "_", row[3] or "_") for row in table]
    document = document_in(form, whole, order)
    same(json.dumps(document), b"application/json", theirs(json.loads(json.dumps(document))))


@unhurried
@given(table=rows, order=orders)
def test_csv_is_read_as_mlflow_reads_it(theirs: Any, table: Any, order: Any) -> None:
    text = io.StringIO()
    [split] = document_in("dataframe_split", table, order).values()
    csv.writer(text, lineterminator="\n").writerows([split["columns"], *split["data"]])
    # pandas is off by a last digit now and then.
    same(text.getvalue(), b"text/csv", theirs(text.getvalue()), tolerance=1e-15)


def test_what_pandas_writes_for_mlflow_is_understood_with_its_nan_and_its_index(theirs: Any) -> None:
    frame = pd.DataFrame(
        {"distance": [1.5, np.nan], "hour": [5.0, 6.0], "carrier": ["UA", None], "origin": ["EWR", "x"]}
    )
    body = json.dumps({"dataframe_split": frame.to_dict(orient="split")})
    assert "NaN" in body
    same(body, b"application/json", theirs(json.loads(body)))
    same(frame.to_csv(), b"text/csv", theirs(frame.to_csv()))


ROW = {"distance": 1.0, "hour": 5.0, "carrier": "UA", "origin": "EWR"}


@pytest.mark.parametrize(
    ("document", "they_take_it", "we_take_it"),
    [
        ({"dataframe_records": [ROW | {"hour": "5"}]}, True, True),
        ({"dataframe_records": [ROW | {"hour": "five"}]}, False, False),
        ({"dataframe_records": [ROW, {name: ROW[name] for name in NAMES[1:]}]}, True, False),
        ({"instances": [[1.0, 5.0, "UA", "EWR"]]}, False, True),
        ({"dataframe_records": [ROW | {"x": 1}]}, True, False),
        ({"dataframe_records": [{name: ROW[name] for name in NAMES[1:]}]}, False, False),
    ],
)
def test_we_differ_from_mlflow_where_the_page_says_so(
    theirs: Any, document: Any, they_take_it: bool, we_take_it: bool
) -> None:
    def takes(read: Callable[[Any], object], refusal: type[Exception]) -> bool:
        try:
            read(document)
        except refusal:
            return False
        return True

    from mlflow.exceptions import MlflowException

    assert takes(theirs, MlflowException) is they_take_it
    assert takes(DIALECT.question_in, Unanswerable) is we_take_it


def test_a_number_is_the_category_that_training_made_of_it_and_not_as_in_mlflow_a_number(theirs: Any) -> None:
    document = {"dataframe_records": [ROW | {"carrier": 7.0}]}
    assert theirs(document)["carrier"].tolist() == [7.0]
    assert DIALECT.question_in(document).batch.categories[0] == ["7"]
