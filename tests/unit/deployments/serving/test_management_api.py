import asyncio
import gzip
import importlib.metadata
import json
import logging
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.clock import ManualClock
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.request_limits import Limits
from deployments.serving.server_state import Service
from tests.model_folder import COLUMNS, ROWS

ROW = {"distance": 1400.0, "hour": 5, "carrier": "UA"}
RECORD = {"dataframe_records": [ROW]}
TENSORS = {
    "inputs": [
        {"name": "distance", "datatype": "FP64", "shape": [1], "data": [1400.0]},
        {"name": "hour", "datatype": "INT64", "shape": [1, 1], "data": [[5]]},
        {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["UA"]},
    ]
}


@dataclass
class Caller:
    """Sends requests to a service without any socket."""

    service: Service

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(make_app(self.service))
            async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
                return await client.request(method, path, **more)

        return asyncio.run(send())

    def get(self, path: str) -> httpx.Response:
        return self.send("GET", path)

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.send("POST", path, content=body, headers={"content-type": "application/json"} | headers)


@pytest.fixture
def caller(model: Model) -> Caller:
    return Caller(Service(model, "3", clock=ManualClock()))


def answering(model: Model, estimator: object, **more: Any) -> Caller:
    return Caller(Service(replace(model, estimator=estimator, quick=None), "3", clock=ManualClock(), **more))


def counted(caller: Caller, series: str) -> float:
    lines = caller.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), math.nan)


def test_an_invocation_gives_the_probabilities_of_each_class(caller: Caller, model: Model) -> None:
    rows = [list(row) for row in ROWS]
    response = caller.post("/invocations", {"dataframe_split": {"columns": list(COLUMNS), "data": rows}})
    assert response.status_code == 200
    assert [sum(row) for row in response.json()["predictions"]] == pytest.approx([1.0] * len(ROWS))
    assert response.headers["content-type"] == "application/json"


def test_an_invocation_of_a_regression_gives_a_number_a_row(regression: Model) -> None:
    response = Caller(Service(regression, "4")).post("/invocations", RECORD)
    [prediction] = response.json()["predictions"]
    assert isinstance(prediction, float)


@pytest.mark.parametrize("path", ["/v2/models/flights/infer", "/v2/models/flights/versions/3/infer"])
def test_the_open_inference_protocol_gives_the_same_answer(caller: Caller, path: str) -> None:
    [expected] = caller.post("/invocations", RECORD).json()["predictions"]
    answer = caller.post(path, TENSORS | {"id": "mine"}).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("flights", "3", "mine")
    prediction, probability = answer["outputs"]
    assert prediction == {"name": "prediction", "datatype": "BOOL", "shape": [1], "data": [expected[1] > 0.5]}
    assert probability == {"name": "probability", "datatype": "FP64", "shape": [1, 2], "data": expected}


def test_only_the_outputs_that_are_wanted_are_given(caller: Caller) -> None:
    answer = caller.post("/v2/models/flights/infer", TENSORS | {"outputs": [{"name": "probability"}]}).json()
    assert [output["name"] for output in answer["outputs"]] == ["probability"]
    refused = caller.post("/v2/models/flights/infer", TENSORS | {"outputs": [{"name": "logits"}]})
    assert (refused.status_code, "prediction, probability" in refused.json()["error"]) == (422, True)


def test_the_model_describes_itself(caller: Caller) -> None:
    described = caller.get("/v2/models/flights").json()
    assert described["versions"] == ["3"]
    assert [(column["name"], column["datatype"]) for column in described["inputs"]] == [
        ("distance", "FP64"),
        ("hour", "FP64"),
        ("carrier", "BYTES"),
    ]
    assert described["outputs"][1] == {
        "name": "probability",
        "datatype": "FP64",
        "shape": [-1, 2],
        "parameters": {"classes": [False, True]},
    }
    assert caller.get("/version").text == "3"


@pytest.mark.parametrize("path", ["/v2/models/bikes/infer", "/v2/models/flights/versions/2/infer"])
def test_another_model_or_version_is_not_found(caller: Caller, path: str) -> None:
    response = caller.post(path, TENSORS)
    assert (response.status_code, "version 3 of 'flights'" in response.json()["error"]) == (404, True)


READY = ["/v2/health/ready", "/v2/models/flights/ready", "/v2/models/flights/versions/3/ready", "/ping", "/health"]


@pytest.mark.parametrize("path", READY)
def test_a_draining_server_is_alive_but_not_ready_and_still_answers(caller: Caller, path: str) -> None:
    assert caller.get(path).status_code == 200
    caller.service.draining = True
    assert caller.get(path).status_code == 503
    assert caller.get("/v2/health/live").status_code == 200
    answer = caller.post("/invocations", RECORD)
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("/v2/health/live", None, 200),
        ("/invocations", RECORD, 200),
        ("/invocations", {}, 400),
        ("/nowhere", None, 404),
        ("/v2/health/live", RECORD, 405),
    ],
)
def test_every_answer_says_who_gave_it(caller: Caller, path: str, content: Any, status: int) -> None:
    response = caller.get(path) if content is None else caller.post(path, content)
    assert response.status_code == status
    assert response.headers["x-seatrial-product"] == "flights"
    assert response.headers["x-seatrial-version"] == "3"
    assert len(response.headers["x-request-id"]) == 32
    if status >= 400:
        assert response.json()["request_id"] == response.headers["x-request-id"]


def test_a_request_id_is_echoed_unless_it_could_forge_a_log(caller: Caller) -> None:
    assert caller.post("/invocations", RECORD, **{"x-request-id": "a-1:b"}).headers["x-request-id"] == "a-1:b"
    forged = caller.post("/invocations", RECORD, **{"x-request-id": 'a" b'}).headers["x-request-id"]
    assert len(forged) == 32


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"dataframe_records": [{"distance": Infinity}]}', "application/json", 400),
        (b'{"dataframe_records": [{"distance": NaN, "hour": 1}]}', "application/json", 200),
        (b"\xff\xfe", "application/json", 400),
        (b"distance,hour\n1,2\n", "text/csv", 200),
        (b"distance,hour\ns3cret,2\n", "text/csv; charset=UTF-8", 422),
        (b'"s3cret', "text/csv", 400),
        (b"PAR1", "application/vnd.apache.parquet", 415),
        (json.dumps(RECORD).encode(), "application/json; format=pandas-split", 415),
        (json.dumps(RECORD).encode(), "application/json; charset=utf-16", 415),
        (json.dumps(RECORD).encode(), "application/json; charset=utf-8", 200),
        (b" " * 1001, "application/json", 413),
        (json.dumps({"dataframe_records": [ROW] * 4}).encode(), "application/json", 413),
        (b'{"dataframe_records": [{"distance": "s3cret", "hour": 1}]}', "application/json", 422),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused_without_quoting_it(
    model: Model, body: bytes, kind: str, status: int
) -> None:
    caller = Caller(Service(model, "3", Limits(body_bytes=1000, rows=3)))
    response = caller.post("/invocations", body, **{"content-type": kind})
    assert response.status_code == status
    assert "s3cret" not in response.text


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(model: Model) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100_000:
            sent += 100
            yield b" " * 100

    caller = Caller(Service(model, "3", Limits(body_bytes=1000)))
    response = caller.send("POST", "/invocations", content=endless(), headers={"content-type": "application/json"})
    assert response.status_code == 413


def test_a_large_request_is_answered_beside_the_event_loop(caller: Caller) -> None:
    response = caller.post("/invocations", {"dataframe_records": [ROW] * 2000})
    assert (response.status_code, len(response.json()["predictions"])) == (200, 2000)
    assert counted(caller, "seatrial_server_rows_total") == 2000


class Failing:
    def predict_proba(self, frame: object) -> object:
        raise RuntimeError("could not convert s3cret")


def test_a_failing_model_is_a_plain_500_and_a_log_line_without_data(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    caller = answering(model, Failing())
    with caplog.at_level(logging.INFO, "seatrial.serving"):
        response = caller.post("/invocations", RECORD, **{"x-request-id": "id-7"})
    assert response.status_code == 500
    assert response.json()["request_id"] == "id-7"
    [record] = caplog.records
    fields = vars(record)["fields"]
    assert fields["request_id"] == "id-7"
    assert fields["error"].startswith("RuntimeError at ")
    assert "s3cret" not in response.text + str(fields) + caplog.text
    assert counted(caller, 'seatrial_server_requests_total{code="500",mirrored="false"}') == 1


class NotANumber:
    def predict_proba(self, frame: Any) -> object:
        return np.full((len(frame), 2), np.nan)


def test_a_prediction_that_is_not_finite_is_a_500_and_counted(model: Model) -> None:
    caller = answering(model, NotANumber())
    response = caller.post("/invocations", RECORD)
    assert (response.status_code, "not a finite number" in response.json()["error"]) == (500, True)
    assert counted(caller, "seatrial_server_not_finite_total") == 1


def test_only_predictions_are_counted(caller: Caller) -> None:
    caller.get("/v2/health/ready")
    caller.post("/invocations", RECORD)
    caller.post("/invocations", {})
    assert counted(caller, 'seatrial_server_requests_total{code="200",mirrored="false"}') == 1
    assert counted(caller, 'seatrial_server_requests_total{code="400",mirrored="false"}') == 1
    assert counted(caller, 'seatrial_server_request_seconds_count{mirrored="false"}') == 2
    assert counted(caller, "seatrial_server_rows_total") == 1
    assert counted(caller, "seatrial_server_in_flight") == 0


def test_a_compressed_request_is_answered(caller: Caller) -> None:
    body = gzip.compress(json.dumps(RECORD).encode())
    assert caller.post("/invocations", body, **{"content-encoding": "gzip"}).status_code == 200
    assert caller.post("/invocations", body, **{"content-encoding": "br"}).status_code == 415


def test_a_bomb_is_refused(model: Model) -> None:
    caller = Caller(Service(model, "3", Limits(body_bytes=100_000)))
    bomb = gzip.compress(b" " * 20_000_000)
    assert len(bomb) < 100_000
    assert caller.post("/invocations", bomb, **{"content-encoding": "gzip"}).status_code == 413


def test_tensors_go_both_ways_in_bytes(caller: Caller) -> None:
    asked = {
        "inputs": [
            {"name": "distance", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
            {"name": "hour", "datatype": "FP64", "shape": [1], "parameters": {"binary_data_size": 8}},
            {"name": "carrier", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 6}},
        ],
        "outputs": [{"name": "probability", "parameters": {"binary_data": True}}],
    }
    content = json.dumps(asked).encode()
    body = content + np.array([1400.0, 5.0]).tobytes() + b"\2\0\0\0UA"
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(content))}
    response = caller.post("/v2/models/flights/infer", body, **headers)
    [expected] = caller.post("/invocations", RECORD).json()["predictions"]
    length = int(response.headers["inference-header-content-length"])
    assert (response.status_code, response.headers["content-type"]) == (200, "application/octet-stream")
    assert json.loads(response.content[:length])["outputs"][0]["parameters"] == {"binary_data_size": 16}
    assert np.frombuffer(response.content[length:]).tolist() == expected
    assert len(response.headers.get_list("content-length")) == 1


def test_the_server_names_itself_and_its_extension(caller: Caller) -> None:
    assert caller.get("/v2").json() == {
        "name": "seatrial",
        "version": importlib.metadata.version("seatrial"),
        "extensions": ["binary_tensor_data"],
    }


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [({}, 400, "BAD_REQUEST"), ({"dataframe_records": [{"hour": 1}]}, 422, "INVALID_PARAMETER_VALUE")],
)
def test_a_refusal_of_an_invocation_is_what_mlflow_clients_read(
    caller: Caller, content: Any, status: int, code: str
) -> None:
    response = caller.post("/invocations", content)
    refusal = response.json()
    assert (response.status_code, refusal["error_code"], refusal["message"]) == (status, code, refusal["error"])


def test_a_refusal_of_an_inference_is_what_the_protocol_says(caller: Caller) -> None:
    response = caller.post("/v2/models/flights/infer", {}, **{"x-request-id": "r-1"})
    assert response.json().keys() == {"error", "request_id"}
    assert response.json()["request_id"] == "r-1"


def test_a_failure_of_an_invocation_has_mlflows_form_too(model: Model) -> None:
    refusal = answering(model, Failing()).post("/invocations", RECORD).json()
    assert refusal["error_code"] == "INTERNAL_ERROR"
