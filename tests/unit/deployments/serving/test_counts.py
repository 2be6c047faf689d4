"""What a server tells the judge of a rollout: its predictions by bin, and the answers that another version gave too."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.mirror_headers import MIRRORED as MIRRORED_MARK
from deployments.serving.mirror_headers import PAIRED as PAIRED_MARK
from deployments.serving.server_state import Service
from tests.unit.deployments.serving.test_management_api import RECORD, ROW, TENSORS, Caller, NotANumber, answering

MIRRORED = {"x-seatrial-mirrored": "1"}
PAIRED = {"x-seatrial-paired": "1"}


@pytest.fixture
def caller(model: Model) -> Caller:
    return Caller(Service(model, "3"))


def answers(caller: Caller, query: str = "") -> list[Any]:
    told: list[Any] = caller.get(f"/seatrial/answers{query}").json()["answers"]
    return told


def test_requests_are_counted_by_what_was_predicted_in_either_dialect_and_their_rows_share_in_one(
    caller: Caller,
) -> None:
    [[_, late]] = caller.post("/invocations", RECORD).json()["predictions"]
    tenth = f"{int(late * 10) / 10}..{(int(late * 10) + 1) / 10}"
    assert caller.get("/seatrial/counts").json()["predictions"] == {tenth: 1}
    caller.post("/v2/models/flights/infer", TENSORS)
    caller.post("/invocations", {"dataframe_records": [ROW] * 3})
    assert caller.get("/seatrial/counts").json()["predictions"] == {tenth: 3}


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


def test_what_users_asked_and_what_copies_came_is_told_apart(model: Model) -> None:
    caller = answering(model, NotANumber())
    for headers in ({}, PAIRED, MIRRORED, MIRRORED, MIRRORED):
        assert caller.post("/invocations", RECORD, **headers).status_code == 500
    assert caller.post("/invocations", {}).status_code == 400
    told = caller.get("/seatrial/counts").json()
    assert (told["users"]["requests"], told["users"]["errors"], sum(told["users"]["latency"])) == (3, 2, 3)
    assert (told["copies"]["requests"], told["copies"]["errors"], sum(told["copies"]["latency"])) == (3, 3, 3)
    assert len(told["users"]["latency"]) == len(told["copies"]["latency"]) == len(LATENCY_BOUNDS_MS) + 1


def test_a_request_whose_client_went_away_is_none(model: Model) -> None:
    caller = Caller(Service(model, "3"))
    leave(caller.service)
    told = caller.get("/seatrial/counts").json()
    assert (told["users"]["requests"], told["users"]["errors"], told["in_flight"]) == (0, 0, 0)


def test_requests_that_are_being_answered_are_told_whoever_asked(model: Model) -> None:
    told: list[Any] = []

    async def ask_meanwhile() -> None:
        app = make_app(Service(model, "3"))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://server") as client:

            async def late() -> AsyncIterator[bytes]:
                told.append((await client.get("/seatrial/counts")).json()["in_flight"])
                yield json.dumps(RECORD).encode()

            for headers in ({}, MIRRORED):
                await client.post("/invocations", content=late(), headers=headers)
            told.append((await client.get("/seatrial/counts")).json()["in_flight"])

    asyncio.run(ask_meanwhile())
    assert told == [1, 1, 0]


def leave(service: Service) -> None:
    """A client that hangs up in the middle of its body."""
    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": [], "server": None}
    messages = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        raise AssertionError(f"nobody is there for {message}")

    asyncio.run(make_app(service)(scope, receive, send))


class ByPort(Caller):
    """A caller of a server that has a port for users, 80, one for copies, 81, and one for copied requests, 82."""

    port: int = 80

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        return super().send(method, f"http://server:{self.port}{path}", **more)


@pytest.fixture
def ports(model: Model) -> Callable[[int], Caller]:
    service = Service(model, "3", marks={81: MIRRORED_MARK, 82: PAIRED_MARK})

    def by(port: int) -> Caller:
        caller = ByPort(service)
        caller.port = port
        return caller

    return by


def test_the_port_says_what_a_request_is(ports: Callable[[int], Caller]) -> None:
    for port, request_id in ((80, "user"), (81, "copy"), (82, "pair")):
        assert ports(port).post("/invocations", RECORD, **{"x-request-id": request_id}).status_code == 200
    told = ports(81).get("/seatrial/counts").json()
    assert (told["users"]["requests"], told["copies"]["requests"], sum(told["predictions"].values())) == (2, 1, 2)
    assert [answer[1:3] for answer in answers(ports(81))] == [["copy", True], ["pair", False]]


@pytest.mark.parametrize("headers", [MIRRORED, PAIRED])
def test_where_ports_say_it_a_user_cannot(ports: Callable[[int], Caller], headers: dict[str, str]) -> None:
    ports(80).post("/invocations", RECORD, **headers, **{"x-request-id": "a"})
    told = ports(81).get("/seatrial/counts").json()
    assert (told["users"]["requests"], told["copies"]["requests"]) == (1, 0)
    assert answers(ports(81)) == []


@pytest.mark.parametrize("path", ["/seatrial/counts", "/seatrial/answers"])
def test_where_copies_have_a_port_only_that_one_tells_of_others(ports: Callable[[int], Caller], path: str) -> None:
    assert [ports(port).get(path).status_code for port in (80, 82)] == [404, 404]
    through_the_api_server = {"x-forwarded-proto": "https"}
    assert ports(81).send("GET", path, headers=through_the_api_server).status_code == 200
