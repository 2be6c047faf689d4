import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.serving.codecs.binary_tensors import bytes_of
from deployments.serving.codecs.open_inference import OipDialect, describe_model, describe_server
from deployments.serving.inference_request import Query, Wanted
from deployments.serving.input_validation import Unanswerable
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.request_limits import Limits

HOUR = Feature("hour", Kind.NUMERIC, "double", required=True)
CARRIER = Feature("carrier", Kind.CATEGORICAL, "string", required=False)
FLIGHTS = Description("flights", Output.PROBABILITY, ("late", "on time"), (HOUR, CARRIER))
NUMBERS = Description(
    "delays", Output.PREDICTION, (), (HOUR, Feature("distance", Kind.NUMERIC, "double", required=True))
)
LIMITS = Limits(rows=100)


def read(document: Any, tail: bytes | None = None, description: Description = FLIGHTS) -> Query:
    content = json.dumps(document).encode()
    headers = {} if tail is None else {b"inference-header-content-length": b"%d" % len(content)}
    return OipDialect(description, "3", LIMITS).read(headers, content + (tail or b""))


def frame_of(*tensors: Any) -> pd.DataFrame:
    return read({"inputs": list(tensors)}).batch.frame(FLIGHTS.features)


def tensor(name: str, data: Any, datatype: str = "FP64", shape: Any = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def in_bytes(name: str, data: Any, datatype: str, shape: Any = None) -> tuple[dict[str, Any], bytes]:
    content = bytes_of(data, datatype)
    parameters = {"binary_data_size": len(content)}
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "parameters": parameters}, content


ONE = {"inputs": [tensor("hour", [5])]}


@pytest.mark.parametrize("shape", [[2], [2, 1]])
@pytest.mark.parametrize("hours", [[5, None], [[5], [None]], [5.0, None]])
def test_a_tensor_is_a_column(hours: list[Any], shape: list[int]) -> None:
    frame = frame_of(tensor("hour", hours, "INT64", shape), tensor("carrier", ["UA", None], "BYTES"))
    assert frame["hour"][0] == 5.0
    assert math.isnan(frame["hour"][1])
    assert frame["carrier"].tolist() == ["UA", None]


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT64"])
def test_a_tensor_in_bytes_is_the_same_column(datatype: str) -> None:
    hour, hours = in_bytes("hour", [5, 7], datatype)
    carrier, carriers = in_bytes("carrier", ["UA", ""], "BYTES", [2, 1])
    frame = read({"inputs": [hour, carrier]}, hours + carriers).batch.frame(FLIGHTS.features)
    assert frame["hour"].tolist() == [5.0, 7.0]
    assert frame["carrier"].tolist() == ["UA", None]


def test_json_and_bytes_may_be_mixed_in_one_request() -> None:
    hour, hours = in_bytes("hour", [True, False], "BOOL")
    frame = read({"inputs": [tensor("carrier", ["UA", "B6"], "BYTES"), hour]}, hours).batch.frame(FLIGHTS.features)
    assert frame["hour"].tolist() == [1.0, 0.0]
    assert frame["carrier"].tolist() == ["UA", "B6"]


def test_nan_in_bytes_is_a_missing_value_of_a_category_too() -> None:
    hour, hours = in_bytes("hour", [np.nan], "FP32")
    carrier, carriers = in_bytes("carrier", [np.nan], "FP32")
    batch = read({"inputs": [hour, carrier]}, hours + carriers).batch
    assert np.isnan(batch.numbers).all()
    assert batch.categories == ([None],)


@pytest.mark.parametrize("data", [[[5, 1400], [6, None]], [5, 1400, 6, None]])
@pytest.mark.parametrize("name", ["input-0", "X", ""])
def test_a_model_of_numbers_takes_all_columns_in_one_tensor(data: list[Any], name: str) -> None:
    batch = read({"inputs": [tensor(name, data, "FP64", [2, 2])]}, description=NUMBERS).batch
    np.testing.assert_array_equal(batch.numbers, [[5.0, 1400.0], [6.0, np.nan]])
    assert (batch.rows, batch.categories) == (2, ())


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT32"])
def test_a_matrix_in_bytes_is_memory_of_its_own_in_the_order_that_models_want(datatype: str) -> None:
    matrix, content = in_bytes("x", [5, 1400, 6, 200], datatype, [2, 2])
    numbers = read({"inputs": [matrix], "id": "shifts the bytes"}, content, NUMBERS).batch.numbers
    assert numbers.tolist() == [[5.0, 1400.0], [6.0, 200.0]]
    assert (numbers.dtype, numbers.flags.writeable, numbers.flags.aligned) == (np.float64, True, True)
    assert numbers.flags.c_contiguous


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ([tensor("hour", [1], "COMPLEX")], "column 'hour': its datatype must be one of BOOL"),
        ([tensor("hour", [1], ["FP64"])], "column 'hour': its datatype must be"),
        ([tensor("hour", [1, 2], shape=[1])], "column 'hour': its shape says 1 value, its data hold 2"),
        ([tensor("hour", [1, 2], shape=[1, 2])], r"column 'hour': its shape must be \[rows\] or \[rows, 1\]"),
        ([tensor("hour", [1], shape=[1, 1, 1])], "column 'hour': its shape"),
        ([tensor("hour", [1], shape=[-1])], "column 'hour' needs `shape`"),
        ([tensor("hour", [1], shape=[True])], "column 'hour' needs `shape`"),
        ([tensor("hour", [1], shape="1")], "column 'hour' needs `shape`"),
        ([tensor("hour", [[1, 2]], shape=[2])], "column 'hour': its data must be a list of values"),
        ([tensor("hour", [[1], 2])], "column 'hour': its data must be a list of values"),
        ([tensor("hour", [[["s3cret"]]])], "column 'hour': its data are not all FP64"),
        ([tensor("hour", ["s3cret"])], "column 'hour': its data are not all FP64"),
        ([tensor("hour", [1.5], "INT64")], "column 'hour': its data are not all INT64"),
        ([tensor("hour", ["s3cret"], "BYTES")], "column 'hour' must hold numbers"),
        ([tensor("hour", [1]), tensor("carrier", [1], "BYTES")], "column 'carrier': its data are not all BYTES"),
        ([tensor("hour", [1]), tensor("hour", [1])], "column 'hour' is given twice"),
        (
            [tensor("hour", [1]), tensor("weight", [1])],
            "takes no column 'weight': leave it out; it takes hour",
        ),
        ([tensor("hour", [1]), {"name": ["s3cret"]}], "an input has no name; the model takes hour, carrier"),
        ([tensor("hour", [1]), {}], "an input has no name"),
        ([{"name": "hour", "datatype": "FP64", "shape": [1]}], "column 'hour' needs `data`"),
        ([tensor("hour", [1]) | {"parameters": {"shared_memory_region": "s3cret"}}], "shared memory is not offered"),
        ([], "takes hour, carrier"),
    ],
)
def test_a_broken_tensor_is_named(tensors: list[Any], said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        frame_of(*tensors)
    assert refused.value.status == 422
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("matrix", "status", "said"),
    [
        (tensor("x", [1, 2, 3], shape=[1, 3]), 422, r"its shape must be \[rows, 2\]"),
        (tensor("x", [1, 2], shape=[2]), 422, r"its shape must be \[rows, 2\]"),
        (tensor("x", [], shape=[0, 2]), 422, "no row"),
        (tensor("x", [0] * 202, shape=[101, 2]), 413, "at most 100"),
        (tensor("x", ["s3cret", "1"], "BYTES", [1, 2]), 422, "columns hour, distance must hold numbers"),
        (tensor("x", ["s3cret", 1], shape=[1, 2]), 422, "columns hour, distance: its data are not all FP64"),
        (tensor("x", [[1], [2, 3]], shape=[2, 2]), 422, "equally long lists"),
        (tensor("x", [[1, 2, 3], [1, 2, 3]], shape=[3, 2]), 422, "equally long lists, one a row"),
    ],
)
def test_a_broken_matrix_is_refused(matrix: Any, status: int, said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        read({"inputs": [matrix]}, description=NUMBERS)
    assert refused.value.status == status
    assert "s3cret" not in str(refused.value)


def test_an_infinite_number_in_a_matrix_is_named_by_its_column() -> None:
    matrix, content = in_bytes("x", [1, 2, 3, -np.inf], "FP32", [2, 2])
    with pytest.raises(Unanswerable, match="column 'distance' holds an infinite number"):
        read({"inputs": [matrix]}, content, NUMBERS)


def test_a_model_with_categories_takes_no_matrix() -> None:
    with pytest.raises(Unanswerable, match="takes no column 'x'"):
        frame_of(tensor("x", [1, 2], shape=[1, 2]))


@pytest.mark.parametrize(
    ("size", "tail", "data", "status", "said"),
    [
        (8, b"\0" * 7, None, 400, "more than follows the JSON"),
        (8, b"\0" * 9, None, 400, "more follows the JSON"),
        (7, b"\0" * 7, None, 422, "column 'hour': 1 value of FP64 is 8 bytes"),
        (8, b"\0" * 8, [1], 400, "column 'hour': give its `binary_data_size`"),
        (-8, b"", None, 400, "column 'hour': give its"),
        ("8", b"\0" * 8, None, 400, "column 'hour': give its"),
        (True, b"\0", None, 400, "column 'hour': give its"),
    ],
)
def test_every_length_of_bytes_is_checked(size: Any, tail: bytes, data: Any, status: int, said: str) -> None:
    hour = {"name": "hour", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": size}}
    with pytest.raises(Unanswerable, match=said) as refused:
        read({"inputs": [hour if data is None else hour | {"data": data}]}, tail)
    assert refused.value.status == status


def test_bytes_without_the_length_of_the_json_are_not_there() -> None:
    hour, _ = in_bytes("hour", [1], "FP64")
    with pytest.raises(Unanswerable, match="more than follows the JSON"):
        read({"inputs": [hour]})


@pytest.mark.parametrize("document", [None, [], {}, {"inputs": {}}, {"inputs": [1]}])
def test_no_tensors_at_all_is_said_plainly(document: Any) -> None:
    with pytest.raises(Unanswerable, match="list of tensors") as refused:
        read(document)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"content-type": b"application/json; charset=utf-8; profile=x"}, None),
        ({b"content-type": b"application/octet-stream"}, 415),
        ({b"content-type": b"application/x-www-form-urlencoded"}, 415),
        ({b"content-type": b"application/octet-stream", b"inference-header-content-length": b"76"}, None),
        ({b"content-encoding": b"br"}, 415),
    ],
)
def test_a_content_type_of_another_protocol_is_415(headers: dict[bytes, bytes], status: int | None) -> None:
    body = b'{"inputs":[{"name":"hour","datatype":"FP64","shape":[1],"data":[5]}], "x":1}'
    assert len(body) == 76
    dialect = OipDialect(FLIGHTS, "3", LIMITS)
    if status is None:
        assert dialect.read(headers, body).batch.rows == 1
    else:
        with pytest.raises(Unanswerable) as refused:
            dialect.read(headers, body)
        assert refused.value.status == status


PREDICTION, PROBABILITY = Output.PREDICTION, Output.PROBABILITY


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, [Wanted(PREDICTION), Wanted(PROBABILITY)]),
        ({"outputs": []}, [Wanted(PREDICTION), Wanted(PROBABILITY)]),
        ({"parameters": {"binary_data_output": True}}, [Wanted(PREDICTION, True), Wanted(PROBABILITY, True)]),
        ({"outputs": [{"name": "probability"}], "parameters": {"priority": 1}}, [Wanted(PROBABILITY)]),
        ({"outputs": [{"name": "probability", "parameters": {"binary_data": True}}]}, [Wanted(PROBABILITY, True)]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [
                    {"name": "probability"},
                    {"name": "prediction", "parameters": {"binary_data": False, "classification": 0}},
                ],
            },
            [Wanted(PROBABILITY, True), Wanted(PREDICTION, False)],
        ),
    ],
)
def test_outputs_are_those_asked_for_in_their_order(asked: Any, wanted: list[Wanted]) -> None:
    assert list(read(ONE | asked).wanted) == wanted


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"outputs": [{"name": "s3cret"}]}, 422, "some of prediction, probability, each once"),
        ({"outputs": [{"name": ["s3cret"]}]}, 422, "some of prediction, probability"),
        ({"outputs": [{"name": "prediction"}] * 2}, 422, "each once"),
        ({"outputs": ["prediction"]}, 422, "some of"),
        ({"outputs": "prediction"}, 422, "some of"),
        ({"outputs": [{"name": "prediction", "parameters": {"classification": 2}}]}, 422, "'classification'"),
        ({"outputs": [{"name": "prediction", "parameters": 1}]}, 400, "`parameters` of output 'prediction'"),
        ({"parameters": []}, 400, "`parameters` of the request"),
    ],
)
def test_what_is_not_offered_is_refused(asked: Any, status: int, said: str) -> None:
    with pytest.raises(Unanswerable, match=said) as refused:
        read(ONE | asked)
    assert refused.value.status == status
    assert "s3cret" not in str(refused.value)


def test_an_answer_in_bytes_has_them_after_its_json_in_the_order_of_the_outputs() -> None:
    query = read(ONE | {"parameters": {"binary_data_output": True}, "id": "mine"})
    answers = {PREDICTION: np.array(["late", "on time"]), PROBABILITY: np.array([[0.75, 0.25], [0.5, 0.5]])}
    headers, body = OipDialect(FLIGHTS, "3", LIMITS).write(query, answers, "r")
    length = int(dict(headers)[b"inference-header-content-length"])
    assert dict(headers)[b"content-type"] == b"application/octet-stream"
    assert json.loads(body[:length]) == {
        "model_name": "flights",
        "model_version": "3",
        "id": "mine",
        "outputs": [
            {"name": "prediction", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 19}},
            {"name": "probability", "datatype": "FP64", "shape": [2, 2], "parameters": {"binary_data_size": 32}},
        ],
    }
    assert body[length : length + 19] == b"\4\0\0\0late\7\0\0\0on time"
    assert np.frombuffer(body[length + 19 :], "<f8").tolist() == [0.75, 0.25, 0.5, 0.5]


def test_a_request_without_an_id_is_answered_with_ours() -> None:
    for given_id, told in (("", ""), ("mine", "mine"), (7, "r"), (None, "r")):
        query = read(ONE | {"id": given_id})
        answers = {PREDICTION: np.array([1.5]), PROBABILITY: np.array([[1.0]])}
        _, body = OipDialect(NUMBERS, "3", LIMITS).write(query, answers, "r")
        assert json.loads(body)["id"] == told


def test_metadata_name_every_column_and_output() -> None:
    missing = "missing: null, or as text nothing, NA, NaN, null and their like"
    takes = [
        f"a number, or its text, such as 1234.5; {missing}",
        f"a category: its text as training had it (01067 is not 1067); {missing}",
    ]
    classes = {"classes": list(FLIGHTS.classes)}
    assert describe_model(FLIGHTS, "3") == {
        "name": "flights",
        "versions": ["3"],
        "platform": "sklearn",
        "inputs": [
            {"name": "hour", "datatype": "FP64", "shape": [-1], "parameters": {"accepts": takes[0]}},
            {"name": "carrier", "datatype": "BYTES", "shape": [-1], "parameters": {"accepts": takes[1]}},
        ],
        "outputs": [
            {"name": "prediction", "datatype": "BYTES", "shape": [-1], "parameters": classes},
            {"name": "probability", "datatype": "FP64", "shape": [-1, 2], "parameters": classes},
        ],
    }
    assert [output["name"] for output in describe_model(NUMBERS, "3")["outputs"]] == ["prediction"]
    assert describe_server()["extensions"] == ["binary_tensor_data"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["hour", "carrier", "x"]) | json_values,
        "datatype": st.sampled_from(["FP64", "INT8", "BOOL", "BYTES"]) | json_values,
        "shape": st.lists(st.integers(-1, 3), max_size=3) | json_values,
        "data": st.lists(json_values, max_size=4) | json_values,
        "parameters": st.fixed_dictionaries({}, optional={"binary_data_size": st.integers(-1, 9)}) | json_values,
    },
)
documents = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=3) | json_values},
    optional={
        "outputs": st.lists(st.fixed_dictionaries({"name": json_values})) | json_values,
        "parameters": json_values,
        "id": json_values,
    },
)


@given(documents, st.none() | st.binary(max_size=12), st.sampled_from([FLIGHTS, NUMBERS]))
def test_whatever_is_sent_it_is_a_question_or_a_refusal(
    document: Any, tail: bytes | None, description: Description
) -> None:
    try:
        query = read(document, tail, description)
    except Unanswerable as refused:
        assert 400 <= refused.status < 500
    else:
        assert query.batch.numbers.shape == (
            query.batch.rows,
            sum(f.kind is Kind.NUMERIC for f in description.features),
        )
        assert query.wanted
