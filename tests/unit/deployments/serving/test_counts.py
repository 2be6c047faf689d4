"""What a server tells the judge of a rollout: its predictions by bin, and the answers that another version gave too."""

import json
from typing import Any

import pytest

from deployments.serving.model import Model
from deployments.serving.service import Service
from tests.unit.deployments.serving.test_app import RECORD, ROW, TENSORS, Caller, NotANumber, answering

MIRRORED = {"x-seatrial-mirrored": "1"}
PAIRED = {"x-seatrial-paired": "1"}


@pytest.fixture
def caller(model: Model) -> Caller:
    return Caller(Service(model, "3"))


def answers(caller: Caller, query: str = "") -> list[Any]:
    told: list[Any] = caller.get(f"/seatrial/answers{query}").json()["answers"]
    return told


def test_rows_are_counted_by_what_was_predicted_for_them_in_either_dialect(caller: Caller) -> None:
    [[_, late]] = caller.post("/invocations", RECORD).json()["predictions"]
    tenth = f"{int(late * 10) / 10}..{(int(late * 10) + 1) / 10}"
    assert caller.get("/seatrial/counts").json()["predictions"] == {tenth: 1}
    caller.post("/v2/models/flights/infer", TENSORS)
    caller.post("/invocations", {"dataframe_records": [ROW] * 3})
    assert caller.get("/seatrial/counts").json()["predictions"] == {tenth: 5}


def test_numbers_of_a_regression_are_counted_by_their_bin(regression: Model) -> None:
    caller = Caller(Service(regression, "4"))
    [number] = caller.post("/invocations", RECORD).json()["predictions"]
    [(name, count)] = caller.get("/seatrial/counts").json()["predictions"].items()
    low, high = map(float, name.split(".."))
    assert (low * 0.99 <= number <= high * 1.01 or low * 1.01 <= number <= high * 0.99, count) == (True, 1)


def test_the_epoch_is_another_after_a_restart_and_the_same_in_between(model: Model) -> None:
    before, after = Caller(Service(model, "3")), Caller(Service(model, "3"))
    first = before.get("/seatrial/counts").json()["epoch"]
    assert before.get("/seatrial/counts").json()["epoch"] == first
    assert before.get("/seatrial/answers").json()["epoch"] == first
    assert after.get("/seatrial/counts").json()["epoch"] != first


def test_a_mirrored_request_is_kept_for_comparison_and_not_counted(caller: Caller) -> None:
    [[_, late]] = caller.post("/invocations", RECORD, **MIRRORED, **{"x-request-id": "a"}).json()["predictions"]
    assert caller.get("/seatrial/counts").json()["predictions"] == {}
    assert answers(caller) == [[1, "a", True, ["true" if late > 0.5 else "false"]]]


def test_a_paired_request_is_kept_and_counted(caller: Caller) -> None:
    caller.post("/invocations", RECORD, **PAIRED, **{"x-request-id": "a"})
    assert sum(caller.get("/seatrial/counts").json()["predictions"].values()) == 1
    assert [answer[:3] for answer in answers(caller)] == [[1, "a", False]]


@pytest.mark.parametrize("headers", [{"x-request-id": "a"}, PAIRED, {"x-seatrial-paired": "0", "x-request-id": "a"}])
def test_an_answer_that_nobody_could_compare_is_not_kept(caller: Caller, headers: dict[str, str]) -> None:
    assert caller.post("/invocations", RECORD, **headers).status_code == 200
    assert answers(caller) == []


@pytest.mark.parametrize(("body", "status"), [({}, 400), (RECORD, 500)])
def test_a_failure_is_kept_as_an_answer_without_prediction(model: Model, body: Any, status: int) -> None:
    caller = answering(model, NotANumber())
    assert caller.post("/invocations", body, **MIRRORED, **{"x-request-id": "a"}).status_code == status
    assert answers(caller) == [[1, "a", True, None]]
    assert caller.get("/seatrial/counts").json()["predictions"] == {}


def test_only_predictions_are_kept(caller: Caller) -> None:
    caller.send("GET", "/v2/health/ready", headers=PAIRED | {"x-request-id": "a"})
    assert answers(caller) == []


def test_answers_are_read_on_from_a_number_at_most_so_many(caller: Caller) -> None:
    for name in "abc":
        caller.post("/invocations", RECORD, **PAIRED, **{"x-request-id": name})
    assert [answer[1] for answer in answers(caller, "?after=1&limit=1")] == ["b"]
    assert [answer[1] for answer in answers(caller, "?after=1")] == ["b", "c"]
    told = caller.get("/seatrial/answers?limit=0").json()
    assert (told["answers"], told["last"], told["dropped"]) == ([], 3, 0)


@pytest.mark.parametrize("query", ["?after=-1", "?after=x", "?limit=1e3", f"?after={'9' * 30}"])
def test_a_question_that_makes_no_sense_is_refused(caller: Caller, query: str) -> None:
    response = caller.get(f"/seatrial/answers{query}")
    assert (response.status_code, "must be a number" in response.json()["error"]) == (422, True)


@pytest.mark.parametrize("path", ["/seatrial/counts", "/seatrial/answers"])
def test_whoever_comes_through_the_gateway_learns_nothing_of_others(caller: Caller, path: str) -> None:
    response = caller.send("GET", path, headers={"x-forwarded-proto": "http"})
    assert response.status_code == 404
    assert set(json.loads(response.content)) == {"error", "request_id"}
