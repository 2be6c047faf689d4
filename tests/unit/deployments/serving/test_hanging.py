"""A call to the model that does not come back takes nobody with it; a model that does not is told by its readiness."""

import asyncio
import json
import threading
from datetime import timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.clock import ManualClock
from deployments.serving.inference_request import Query, Wanted
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.offload import Beside
from deployments.serving.prediction_threads import MOST_THREADS
from deployments.serving.request_limits import Limits
from deployments.serving.row_batch import Batch
from deployments.serving.server_state import Service

DESCRIPTION = Description("shop", Output.PREDICTION, (), (Feature("x", Kind.NUMERIC, "double", required=True),))
# A tenth of it is how long one may be held up until another thread is there.
SOON = timedelta(milliseconds=100)
READY = ["/v2/health/ready", "/v2/models/shop/ready", "/v2/models/shop/versions/3/ready", "/ping", "/health"]


class Hanging:
    """Adds 1; does not come back for a number below 0 until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.hanging = 0

    def predict(self, frame: Any) -> Any:
        numbers = frame["x"].to_numpy()
        if (numbers < 0).any():
            self.hanging += 1
            assert self.let_go.wait(60)
        return numbers + 1


@pytest.fixture
def estimator() -> Any:
    hanging = Hanging()
    yield hanging
    hanging.let_go.set()


def at_work() -> set[threading.Thread]:
    """Threads in which a model is asked. Those of other tests may end at any moment."""
    return {thread for thread in threading.enumerate() if thread.name == "predict"}


def query(number: float) -> Query:
    return Query(Batch(1, np.array([[number]]), ()), (Wanted(Output.PREDICTION),))


async def hang(beside: Beside, estimator: Hanging, calls: int = 1) -> list["asyncio.Future[Any]"]:
    """So many calls that do not come back."""
    asked = []
    for _ in range(calls):
        asked.append(asyncio.ensure_future(beside.answers(query(-1))))
        already = estimator.hanging
        while estimator.hanging == already:
            await asyncio.sleep(0.001)
    return asked


@pytest.mark.parametrize("together", [True, False])
def test_whoever_comes_after_one_that_hangs_is_answered(estimator: Hanging, together: bool) -> None:
    beside = Beside(Model(DESCRIPTION, estimator), together=together, time=SOON)

    async def scene() -> list[float]:
        hanging = await hang(beside, estimator)
        later = await asyncio.gather(*(beside.answers(query(number)) for number in (1.0, 2.0, 3.0)))
        assert not hanging[0].done()
        estimator.let_go.set()
        return [float(said[Output.PREDICTION][0]) for said in (*later, *await asyncio.gather(*hanging))]

    assert asyncio.run(scene()) == [2.0, 3.0, 4.0, 0.0]


def test_who_was_put_to_a_model_with_one_that_hangs_is_put_to_it_alone(estimator: Hanging) -> None:
    beside = Beside(Model(DESCRIPTION, estimator), together=True, time=SOON)

    async def scene() -> list[float]:
        first = await hang(beside, estimator)
        company = [asyncio.ensure_future(beside.answers(query(number))) for number in (1.0, -1.0, 2.0)]
        said = [float((await company[place])[Output.PREDICTION][0]) for place in (0, 2)]
        assert not company[1].done()
        estimator.let_go.set()
        await asyncio.gather(*first, company[1])
        return said

    assert asyncio.run(scene()) == [2.0, 3.0]


def test_a_model_that_is_silent_is_not_ready_long_before_a_request_has_had_its_time(estimator: Hanging) -> None:
    clock = ManualClock()
    service = Service(Model(DESCRIPTION, estimator), "3", clock=clock, sample=query(1))
    slow = Service(Model(DESCRIPTION, estimator), "3", clock=clock, sample=query(1), sample_seconds=1.0)

    async def scene() -> None:
        hanging = [*await hang(service.beside, estimator), *await hang(slow.beside, estimator)]
        clock.advance(timedelta(seconds=7))
        assert service.ready
        clock.advance(timedelta(seconds=1))
        assert not service.ready
        assert slow.ready, "a row of its own may take a second"
        clock.advance(timedelta(seconds=13))
        assert not slow.ready
        assert not service.beyond_hope
        estimator.let_go.set()
        await asyncio.gather(*hanging)
        assert service.ready

    asyncio.run(scene())


def test_threads_are_few_however_much_hangs_and_work_again_once_one_comes_back(estimator: Hanging) -> None:
    beside = Beside(Model(DESCRIPTION, estimator), together=False, time=SOON)
    before = at_work()

    async def scene() -> float:
        await hang(beside, estimator, MOST_THREADS)
        more = [asyncio.ensure_future(beside.answers(query(-1))) for _ in range(20)]
        last = asyncio.ensure_future(beside.answers(query(1)))
        assert len(at_work() - before) == MOST_THREADS
        assert not last.done()
        estimator.let_go.set()
        await asyncio.gather(*more)
        return float((await last)[Output.PREDICTION][0])

    assert asyncio.run(scene()) == 2.0
    assert estimator.hanging == MOST_THREADS + 20


def test_those_who_are_gone_are_not_worked_for_any_more(estimator: Hanging) -> None:
    beside = Beside(Model(DESCRIPTION, estimator), together=False)

    async def scene() -> None:
        [hanging] = await hang(beside, estimator)
        gone = [asyncio.ensure_future(beside.answers(query(-1))) for _ in range(20)]
        await asyncio.sleep(0)
        for each in gone:
            each.cancel()
        estimator.let_go.set()
        await hanging
        await beside.answers(query(1))

    asyncio.run(scene())
    assert estimator.hanging == 1


def served(estimator: Hanging, **more: Any) -> Service:
    return Service(Model(DESCRIPTION, estimator), "3", Limits(time=timedelta(seconds=30)), clock=ManualClock(), **more)


async def codes(service: Service, *paths: str) -> list[int]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make_app(service)), base_url="http://server") as client:
        return [(await client.get(path)).status_code for path in paths]


def moved(service: Service, seconds: float) -> None:
    assert isinstance(service.clock, ManualClock)
    service.clock.advance(timedelta(seconds=seconds))


def test_a_model_that_answers_nobody_for_as_long_as_a_request_may_take_is_not_ready_and_ends_after_twice_that(
    estimator: Hanging,
) -> None:
    service = served(estimator)

    async def scene() -> None:
        await service.beside.answers(query(1))
        moved(service, 1000)
        assert await codes(service, *READY) == [200] * 5, "nobody asked"
        await hang(service.beside, estimator)
        moved(service, 29.9)
        assert await codes(service, *READY) == [200] * 5
        moved(service, 0.2)
        assert await codes(service, *READY, "/v2/health/live") == [503] * 5 + [200]
        assert not service.beyond_hope
        moved(service, 30)
        assert await codes(service, "/v2/health/live") == [503]
        assert service.beyond_hope

    asyncio.run(scene())


def test_a_process_that_stood_still_is_no_hanging_model(estimator: Hanging) -> None:
    service = served(estimator)

    async def scene() -> None:
        await hang(service.beside, estimator)
        moved(service, 1000)
        service.beside.disregard()
        assert await codes(service, *READY, "/v2/health/live") == [200] * 6
        moved(service, 31)
        assert await codes(service, *READY) == [503] * 5, "it hangs all the same"

    asyncio.run(scene())


def test_a_call_that_hangs_beside_others_that_do_not_is_no_hanging_model(estimator: Hanging) -> None:
    service = served(estimator)

    async def scene() -> None:
        await hang(service.beside, estimator)
        for _ in range(10):
            moved(service, 20)
            await service.beside.answers(query(1))
            assert await codes(service, *READY) == [200] * 5

    asyncio.run(scene())


def test_a_big_batch_that_takes_its_time_and_comes_back_is_no_hanging_model(estimator: Hanging) -> None:
    service = served(estimator)

    async def scene() -> None:
        [batch] = await hang(service.beside, estimator)
        moved(service, 29)
        estimator.let_go.set()
        await batch
        moved(service, 29)
        assert await codes(service, *READY) == [200] * 5

    asyncio.run(scene())


def test_where_nobody_else_asks_the_model_is_asked_about_a_row_of_its_own(estimator: Hanging) -> None:
    beside = Beside(Model(DESCRIPTION, estimator), together=True, time=SOON, sample=query(1))

    async def scene() -> None:
        await hang(beside, estimator)
        answered = beside.hangs_for
        while beside.hangs_for >= answered:  # it falls when a call has come to its end
            answered = beside.hangs_for
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(scene(), 30))


def body(number: float) -> bytes:
    return json.dumps({"dataframe_records": [{"x": number}]}).encode()


def test_ages_of_requests_that_wait_are_told(estimator: Hanging) -> None:
    service = served(estimator)

    async def scene() -> Any:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            first = asyncio.ensure_future(client.post("/invocations", content=body(-1)))
            while not estimator.hanging:
                await asyncio.sleep(0.001)
            moved(service, 2.5)
            copy = client.post("/invocations", content=body(1), headers={"x-seatrial-mirrored": "1"})
            second = asyncio.ensure_future(copy)
            while len(service.asked) < 2:
                await asyncio.sleep(0.001)
            told = (await client.get("/seatrial/counts")).json()
            estimator.let_go.set()
            await asyncio.gather(first, second)
            return told, (await client.get("/seatrial/counts")).json()

    waiting, over = asyncio.run(scene())
    assert waiting["waiting"]["users"].index(1) == 16, "between 2 and 5 s"
    assert (sum(waiting["waiting"]["users"]), waiting["waiting"]["copies"][0], waiting["in_flight"]) == (1, 1, 2)
    assert (sum(over["waiting"]["users"]), over["in_flight"]) == (0, 0)
