"""What docs/serving.md claims of requests and answers, held against a model server."""

import gzip
import json
import zlib
from pathlib import Path

import pytest
from deployments.routers.envoy.files import EnvoyFiles
from deployments.serving.model import Model
from tests.unit.deployments.serving.test_app import Caller

from deployments.routers.envoy.listener import bootstrap
from tests.docs.asked import INFER, ROW, csv, pinned, predictions, records, serving, status, tensor, tensors, without
from tests.docs.claims import claim

PAGE = "docs/serving.md"


@claim("docs/serving.md", "Both answer, a row each, with the probabilities of `false` and `true`")
def test_probabilities_come_a_row_each_in_the_order_that_the_metadata_say(caller: Caller) -> None:
    table = csv("1400,17,UA", "740,,B6")
    split = {"columns": ["distance", "hour", "carrier"], "data": [[1400, 17, "UA"], [740, None, "B6"]]}
    answered = predictions(caller, {"dataframe_split": split})
    assert answered == predictions(caller, table, "text/csv")
    assert [len(row) for row in answered] == [2, 2]
    assert caller.get("/v2/models/flights").json()["outputs"][1]["parameters"]["classes"] == [False, True]


@claim("docs/serving.md", "| `dataframe_split` | `columns` and rows of `data`, in any order of columns |")
@claim("docs/serving.md", "| `dataframe_records` | an object a row |")
@claim(
    "docs/serving.md",
    "| `instances` | an object a row, or a list a row in the model's order of columns, or a list a column |",
    "| `inputs` | a list a column, or a value a column for one row, or what `instances` may hold |",
)
@claim("docs/serving.md", "| CSV | a header, then rows; quotes as in RFC 4180 |")
def test_every_form_of_mlflow_says_the_same(caller: Caller) -> None:
    forms = [
        {"dataframe_split": {"columns": ["carrier", "hour", "distance"], "data": [["UA", 17, 1400]]}},
        {"instances": [ROW]},
        {"instances": [[1400, 17, "UA"]]},
        {"instances": {name: [value] for name, value in ROW.items()}},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        {"inputs": [ROW]},
    ]
    expected = predictions(caller, records())
    assert [predictions(caller, form) for form in forms] == [expected] * len(forms)
    assert predictions(caller, csv('"1400","17","UA"'), "text/csv") == expected


@claim(
    "docs/serving.md",
    "| text where a number belongs | read as a number if it can be | read as training reads it, else 422 |",
    "| a number where text belongs | given to the model as a number, which is no category it knows "
    "| the text that training made of it: `7` also for 7.0 |",
)
def test_a_value_is_read_as_training_reads_it(caller: Caller) -> None:
    assert predictions(caller, records(hour="17")) == predictions(caller, records())
    assert status(caller, records(hour="five")) == 422
    assert predictions(caller, records(carrier=7)) == predictions(caller, records(carrier=7.0))


@claim("docs/serving.md", "| a required column that some records lack | missing values | 422: send `null` |")
def test_a_column_that_some_records_lack_is_refused(caller: Caller) -> None:
    assert status(caller, without("hour")) == 422


@claim("docs/serving.md", "| infinite numbers | given to the model | 400 or 422 |")
@pytest.mark.parametrize(("body", "kind"), [(b'{"instances": [[Infinity, 1, "UA"]]}', "json"), (csv("inf,1,UA"), "csv")])
def test_infinite_numbers_are_refused(caller: Caller, body: bytes, kind: str) -> None:
    assert status(caller, body, "application/json" if kind == "json" else "text/csv") in {400, 422}


@claim("docs/serving.md", "| rows as lists, without names | 400 with more than one column | taken in the model's order |")
def test_rows_without_names_are_in_the_order_of_the_model(caller: Caller) -> None:
    assert status(caller, {"instances": [[1400, 17, "UA"]]}) == 200


@claim("docs/serving.md", "as our models declare none | ignored |")
def test_params_are_ignored(caller: Caller) -> None:
    assert status(caller, records() | {"params": {"temperature": 1}}) == 200


@claim(
    "docs/serving.md",
    "| Parquet | read | 415 |",
    "`application/json; format=pandas-split` and other forms from before MLflow 2 are 415 in both.",
    "| 415 | another content type, charset or encoding |",
    "Text is UTF-8; another charset is 415.",
)
@pytest.mark.parametrize(
    "kind",
    ["application/vnd.apache.parquet", "application/json; format=pandas-split", "text/csv; charset=latin-1"],
)
def test_other_content_types_are_415(caller: Caller, kind: str) -> None:
    assert status(caller, pinned(records()), kind) == 415


@claim(
    "docs/serving.md",
    "A column that the model does not take is refused and named, since it may be a slip for one that it does",
    "`rollout.server.unknown_columns: ignore` does as MLflow.",
    "| `--ignore-unknown-columns` | `unknown_columns: ignore` | leaves out what the model does not take, which is 422 otherwise |",
)
def test_an_unknown_column_is_refused_and_named_unless_it_is_to_be_ignored(model: Model, caller: Caller) -> None:
    refused = caller.post("/invocations", records(colour="red"))
    assert (refused.status_code, "'colour'" in refused.text) == (422, True)
    assert status(serving(model, unknown_columns=True), records(colour="red")) == 200


@claim("docs/serving.md", "| `--refuse-missing` | `missing: refuse` | 422 for null |")
def test_null_may_be_refused(model: Model, caller: Caller) -> None:
    assert status(serving(model, missing=False), records(hour=None)) == 422
    assert status(caller, records(hour=None)) == 200


@claim("docs/serving.md", "**A number** may be text too: `\"12\"`, with the column's own decimal sign. A truth value is 1 or 0.")
def test_a_truth_value_is_a_number(caller: Caller) -> None:
    assert predictions(caller, records(hour=True)) == predictions(caller, records(hour=1))
    assert predictions(caller, records(hour="1")) == predictions(caller, records(hour=1))


@claim("docs/serving.md", "**Missing** is `null`, NaN, nothing in CSV, empty text,")
def test_what_is_missing(caller: Caller) -> None:
    expected = predictions(caller, records(hour=None))
    assert predictions(caller, records(hour="")) == expected
    assert predictions(caller, json.dumps(records(hour=float("nan"))).encode()) == expected
    assert predictions(caller, records(hour="NA")) == expected
    assert predictions(caller, csv("1400,,UA"), "text/csv") == expected


@claim("docs/serving.md", "`/v2/models/NAME` says for each input what it `accepts`, and for each output the order of its `classes`")
def test_the_metadata_say_what_is_accepted(caller: Caller) -> None:
    told = caller.get("/v2/models/flights").json()
    assert all("accepts" in each["parameters"] for each in told["inputs"])
    assert all("classes" in each.get("parameters", {}) for each in told["outputs"] if each["name"] == "probability")


@claim("docs/serving.md", "| `GET /v2/models/flights`, with or without `/versions/3` | columns and outputs |")
@claim("docs/serving.md", "| `GET /v2/models/flights/ready`, likewise | 200 or 503; 404 for another model or version |")
@claim("docs/serving.md", "| 404 | another model, version or path |")
def test_models_and_versions_have_their_paths(caller: Caller) -> None:
    assert caller.get("/v2/models/flights").json() == caller.get("/v2/models/flights/versions/3").json()
    assert caller.get("/v2/models/flights/ready").status_code == 200
    for path in ("/v2/models/bikes/ready", "/v2/models/flights/versions/4/ready", "/nowhere"):
        assert caller.get(path).status_code == 404


@claim("docs/serving.md", "A tensor is a column, of shape `[rows]` or `[rows, 1]`.", "Data may be nested by row or flat.")
def test_a_tensor_is_a_column(caller: Caller) -> None:
    nested = tensors(hour=tensor("hour", [17], shape=[1, 1]))
    flat = tensors(hour=tensor("hour", 17, shape=[1, 1]))
    answers = [caller.post(INFER, body | {"id": "a"}) for body in (tensors(), nested, flat)]
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json() == answers[1].json() == answers[2].json()


@claim(
    "docs/serving.md",
    "Datatypes are BOOL, INT8 to INT64, UINT8 to UINT64, FP16, FP32, FP64 and BYTES, which is text in UTF-8.",
)
def test_the_datatypes_are_those(caller: Caller) -> None:
    whole = [f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)]
    for datatype in (*whole, "FP16", "FP32", "FP64"):
        assert status(caller, tensors(hour=tensor("hour", 17, datatype=datatype)), path=INFER) == 200
    assert status(caller, tensors(hour=tensor("hour", True, datatype="BOOL")), path=INFER) == 200
    assert status(caller, tensors(hour=tensor("hour", 17, datatype="FP8")), path=INFER) == 422


@claim("docs/serving.md", "`null` and `NaN` in JSON, and NaN in bytes, is a missing value.")
def test_nan_is_a_missing_value(caller: Caller) -> None:
    null = caller.post(INFER, tensors(hour=tensor("hour", None)) | {"id": "a"}).json()
    nan = caller.post(INFER, pinned(tensors(hour=tensor("hour", float("nan"))) | {"id": "a"})).json()
    assert null["outputs"] == nan["outputs"]


@claim("docs/serving.md", "An input with a name that is no column is 422")
def test_an_input_that_is_no_column_is_refused(caller: Caller) -> None:
    assert status(caller, tensors(colour=tensor("colour", 1)), path=INFER) == 422


@claim(
    "docs/serving.md",
    "`parameters` that the server does not know are ignored; shared memory and `classification` are refused.",
)
def test_parameters_that_nobody_knows_are_ignored(caller: Caller) -> None:
    assert status(caller, tensors() | {"parameters": {"priority": 1}}, path=INFER) == 200
    shared = tensor("hour", parameters={"shared_memory_region": "r", "shared_memory_byte_size": 8})
    assert status(caller, tensors(hour=shared), path=INFER) == 422
    ranked = [{"name": "probability", "parameters": {"classification": 1}}]
    assert status(caller, tensors() | {"outputs": ranked}, path=INFER) == 422


@claim("docs/serving.md", "A body may be compressed: `content-encoding: gzip` or `deflate`.")
def test_a_body_may_be_compressed(caller: Caller) -> None:
    body = pinned(records())
    assert status(caller, gzip.compress(body), **{"content-encoding": "gzip"}) == 200
    assert status(caller, zlib.compress(body), **{"content-encoding": "deflate"}) == 200
    assert status(caller, body, **{"content-encoding": "br"}) == 415


@claim("docs/serving.md", "A request without a content type is read as JSON.")
def test_without_a_content_type_it_is_json(caller: Caller) -> None:
    assert caller.send("POST", "/invocations", content=pinned(records())).status_code == 200


@claim("docs/serving.md", "| 413 | more than 8 MiB or 100,000 rows |")
def test_a_request_has_at_most_8_mib_and_100_000_rows(caller: Caller) -> None:
    head, row = "distance,hour,carrier", "1,1,UA"
    assert status(caller, csv(*[row] * 100_000, header=head), "text/csv") == 200
    assert status(caller, csv(*[row] * 100_001, header=head), "text/csv") == 413
    assert status(caller, b" " * (8 * 1024 * 1024 + 1)) == 413


@claim("docs/serving.md", "| 422 | a column that is missing, given twice, of another type, shape or length, or infinite;")
@pytest.mark.parametrize(
    "wrong",
    [
        {"dataframe_records": [{"distance": 1, "carrier": "UA"}]},
        {"dataframe_split": {"columns": ["hour", "hour", "distance"], "data": [[1, 2, 3]]}},
        records(hour={"a": 1}),
        {"inputs": {"distance": [1, 2], "hour": [1], "carrier": ["UA"]}},
    ],
)
def test_what_is_wrong_with_a_column_is_422(caller: Caller, wrong: object) -> None:
    assert status(caller, wrong) == 422


@claim(
    "docs/serving.md",
    'V2 says it as `{"error": …, "request_id": …}`.',
    '{"error_code":"INVALID_PARAMETER_VALUE","message":"column \'hour\' is missing: send null where its value is not known",'
    '"error":"column \'hour\' is missing: send null where its value is not known","request_id":',
)
def test_a_refusal_has_the_form_that_the_page_shows(caller: Caller) -> None:
    in_v2 = caller.post(INFER, {"inputs": []}).json()
    assert set(in_v2) == {"error", "request_id"}
    said = "column 'hour' is missing: send null where its value is not known"
    told = caller.post("/invocations", {"instances": [{"distance": 1, "carrier": "UA"}]}).json()
    assert list(told) == ["error_code", "message", "error", "request_id"]
    assert (told["error_code"], told["message"], told["error"]) == ("INVALID_PARAMETER_VALUE", said, said)


@claim("docs/serving.md", "A message names columns of the model and counts, never a value that was sent.")
def test_no_message_quotes_a_value(caller: Caller) -> None:
    for body in (records(hour="s3cret"), records(hour=["s3cret"]), {"inputs": {"hour": "s3cret"}}):
        refused = caller.post("/invocations", body)
        assert refused.status_code in {400, 422}
        assert "s3cret" not in refused.text


@claim(
    "docs/serving.md",
    "Every answer has `x-request-id`, `x-seatrial-product` and `x-seatrial-version`.",
    "A server that is asked directly takes the `x-request-id` that you send; the gateway replaces it by one of its own,",
)
def test_every_answer_says_who_gave_it_and_to_which_request(caller: Caller, tmp_path: Path) -> None:
    first, uploads = bootstrap(EnvoyFiles(tmp_path, tmp_path), "127.0.0.1", 18080)["static_resources"]["listeners"]
    assert "preserve_external_request_id" not in json.dumps(first)
    assert "preserve_external_request_id" in json.dumps(uploads), "where the first one's own id comes in again"
    for body in (records(), {}):
        headers = caller.post("/invocations", body, **{"x-request-id": "mine"}).headers
        assert headers["x-request-id"] == "mine"
        assert (headers["x-seatrial-product"], headers["x-seatrial-version"]) == ("flights", "3")
