"""What is answered beside the event loop, alone and in company, and who is told to come again."""

import asyncio
import json
import threading
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.serving.inference_request import Query, Wanted
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.offload import Beside, is_batch_invariant
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import Batch
from deployments.serving.server_state import Service

NUMBER = Feature("x", Kind.NUMERIC, "double", required=True)
WORD = Feature("word", Kind.CATEGORICAL, "string", required=False)
DESCRIPTION = Description("shop", Output.PREDICTION, (), (NUMBER, WORD))


class Patient:
    """Adds 1 to its number; once told to, it waits. Knows how many rows it was asked about each time."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.go_on.set()
        self.asked: list[int] = []

    def predict(self, frame: Any) -> Any:
        self.asked.append(len(frame))
        assert self.go_on.wait(60)
        if (frame["x"] < 0).any():
            raise RuntimeError("s3cret")
        return frame["x"].to_numpy() + 1


class Jealous:
    """Says of a row something else when there are others."""

    def predict(self, frame: Any) -> Any:
        return frame["x"].to_numpy() / len(frame)


def query(*numbers: float) -> Query:
    batch = Batch(len(numbers), np.array(numbers, dtype=np.float64).reshape(-1, 1), (["a"] * len(numbers),))
    return Query(batch, (Wanted(Output.PREDICTION),))


def said(answers: Any) -> list[float]:
    found: list[float] = answers[Output.PREDICTION].tolist()
    return found


async def asked_while_busy(beside: Beside, estimator: Patient, *queries: Query) -> list[Any]:
    """What becomes of `queries` that come while another one is being answered."""
    estimator.go_on.clear()
    first = asyncio.ensure_future(beside.answers(query(0)))
    while not estimator.asked:
        await asyncio.sleep(0.001)
    rest = [asyncio.ensure_future(beside.answers(each)) for each in queries]
    await asyncio.sleep(0)
    estimator.go_on.set()
    assert said(await first) == [1.0]
    return await asyncio.gather(*rest, return_exceptions=True)


def test_questions_that_come_while_it_is_busy_are_put_together_and_each_gets_its_own_answer() -> None:
    estimator = Patient()
    beside = Beside(Model(DESCRIPTION, estimator), together=True)
    answers = asyncio.run(asked_while_busy(beside, estimator, query(1), query(2, 3), query(4)))
    assert [said(each) for each in answers] == [[2.0], [3.0, 4.0], [5.0]]
    assert estimator.asked == [1, 4]


def test_one_that_fails_takes_nobody_with_it() -> None:
    estimator = Patient()
    beside = Beside(Model(DESCRIPTION, estimator), together=True)
    good, bad, better = asyncio.run(asked_while_busy(beside, estimator, query(1), query(-1), query(3)))
    assert (said(good), said(better)) == ([2.0], [4.0])
    assert isinstance(bad, RuntimeError)


def test_a_model_that_answers_otherwise_in_company_is_never_asked_so() -> None:
    estimator = Patient()
    beside = Beside(Model(DESCRIPTION, estimator), together=False)
    answers = asyncio.run(asked_while_busy(beside, estimator, query(1), query(2)))
    assert [said(each) for each in answers] == [[2.0], [3.0]]
    assert estimator.asked == [1, 1, 1]


def test_whether_a_model_may_be_asked_in_company_is_tried() -> None:
    assert is_batch_invariant(Model(DESCRIPTION, Patient()), query(1, 2, 3))
    assert not is_batch_invariant(Model(DESCRIPTION, Jealous()), query(1, 2, 3))


def test_a_caller_that_is_gone_holds_nobody_up() -> None:
    estimator = Patient()
    beside = Beside(Model(DESCRIPTION, estimator), together=True)

    async def scene() -> list[float]:
        estimator.go_on.clear()
        first = asyncio.ensure_future(beside.answers(query(0)))
        gone = asyncio.ensure_future(beside.answers(query(1)))
        while not estimator.asked:
            await asyncio.sleep(0.001)
        gone.cancel()
        estimator.go_on.set()
        await first
        return said(await beside.answers(query(5)))

    assert asyncio.run(scene()) == [6.0]


@pytest.mark.parametrize("together", [True, False])
def test_whoever_is_too_much_is_told_at_once_to_come_again(together: bool) -> None:
    estimator = Patient()
    service = Service(Model(DESCRIPTION, estimator), "3", Limits(in_flight=2), together=together)

    async def scene() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:

            def ask(number: float) -> Any:
                return asyncio.ensure_future(client.post("/invocations", content=body(number)))

            estimator.go_on.clear()
            accepted = [ask(1), ask(2)]
            while not estimator.asked:
                await asyncio.sleep(0.001)
            refused = await ask(3)
            estimator.go_on.set()
            return [*await asyncio.gather(*accepted), refused, await ask(4)]

    def body(number: float) -> bytes:
        return json.dumps({"dataframe_records": [{"x": number}]}).encode()

    first, second, refused, later = asyncio.run(scene())
    assert [response.status_code for response in (first, second, refused, later)] == [200, 200, 503, 200]
    assert refused.headers["retry-after"] == "1"
    assert "come again" in refused.json()["error"]
    assert later.json() == {"predictions": [5.0]}


def test_compiled_models_are_answered_on_the_loop(model: Model) -> None:
    estimator = Patient()
    quick = Service(replace(model, estimator=estimator), "3")
    transport = httpx.ASGITransport(make_app(quick))

    async def scene() -> int:
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            row = {"distance": 1.0, "hour": 2.0, "carrier": "UA"}
            return (await client.post("/invocations", json={"dataframe_records": [row]})).status_code

    assert asyncio.run(scene()) == 200
    assert estimator.asked == []
