"""Whatever a model raises is a 500 to whoever asked, and nothing to the next one."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.predict_handler import CLIENT_LEFT, TOO_LONG
from deployments.serving.server_state import Service

DESCRIPTION = Description("shop", Output.PREDICTION, (), (Feature("x", Kind.NUMERIC, "double", required=True),))


class Untellable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")

    __repr__ = __str__


class Rootless(BaseException):
    pass


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise ValueError("no name")


class WithoutName(Exception, metaclass=Nameless):
    pass


def every_kind_of(root: type[BaseException]) -> Iterator[type[BaseException]]:
    """It and all that is derived from it in Python itself."""
    yield root
    for kind in root.__subclasses__():
        if kind.__module__ in {"builtins", "asyncio.exceptions"}:
            yield from every_kind_of(kind)


def made(kind: type[BaseException]) -> BaseException:
    if issubclass(kind, BaseExceptionGroup):
        return kind("several", [ValueError("one")] if issubclass(kind, Exception) else [Rootless()])
    if issubclass(kind, UnicodeError) and kind is not UnicodeError:
        return kind(
            *(("utf-8", b"s3cret", 0, 1, "why") if kind is UnicodeDecodeError else ("utf-8", "s3cret", 0, 1, "why"))
        )
    return kind("s3cret")


KINDS: list[Callable[[], BaseException]] = [
    *(lambda kind=kind: made(kind) for kind in sorted(set(every_kind_of(BaseException)), key=str)),  # type: ignore[misc]
    Untellable,
    lambda: Rootless("s3cret"),
    lambda: WithoutName("s3cret"),
    ClientDisconnect,
    lambda: asyncio.CancelledError(TOO_LONG),
    lambda: asyncio.CancelledError(CLIENT_LEFT),
    lambda: Exception(CLIENT_LEFT),
]


class Faulty:
    """Raises for a number below 0, adds 1 to any other."""

    def __init__(self, error: Callable[[], BaseException]) -> None:
        self.error = error

    def predict(self, frame: Any) -> Any:
        numbers = frame["x"].to_numpy()
        if (numbers < 0).any():
            raise self.error()
        return numbers + 1


class Compiled(Faulty):
    """The same, for the event loop."""

    at_once = True

    def predict(self, batch: Any) -> Any:
        if (batch.numbers < 0).any():
            raise self.error()
        return batch.numbers[:, 0] + 1


def body(number: float) -> bytes:
    return json.dumps({"dataframe_records": [{"x": number}]}).encode()


def asked(service: Service, numbers: list[float]) -> list[httpx.Response]:
    """All at once, and then one more."""

    async def scene() -> list[httpx.Response]:
        transport = httpx.ASGITransport(make_app(service))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            all_at_once = (client.post("/invocations", content=body(number)) for number in numbers)
            return [*await asyncio.gather(*all_at_once), await client.post("/invocations", content=body(1))]

    return asyncio.run(asyncio.wait_for(scene(), 30))


def served(way: str, error: Callable[[], BaseException]) -> Service:
    model = Model(DESCRIPTION, Faulty(error))
    if way == "on the loop":
        model = Model(DESCRIPTION, Faulty(error), Compiled(error))  # type: ignore[arg-type]
    return Service(model, "3", together=way == "together")


@pytest.mark.parametrize("way", ["alone", "together", "on the loop"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), numbers=st.lists(st.sampled_from([-1.0, 2.0]), min_size=1, max_size=5))
def test_whoever_asks_for_what_fails_gets_a_500_and_everybody_else_an_answer(
    way: str, kind: Callable[[], BaseException], numbers: list[float]
) -> None:
    service = served(way, kind)
    *answers, last = asked(service, numbers)
    assert [answer.status_code for answer in answers] == [500 if number < 0 else 200 for number in numbers]
    assert last.json() == {"predictions": [2.0]}
    assert not any(b"s3cret" in answer.content for answer in answers)
    failed = sum(number < 0 for number in numbers)
    told = service.metrics.users.told()
    assert (told["requests"], told["errors"]) == (len(numbers) + 1, failed)
    assert service.asked == {}


@pytest.mark.parametrize("way", ["alone", "together", "on the loop"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_exception_is_an_answer(way: str, kind: Callable[[], BaseException]) -> None:
    assert [answer.status_code for answer in asked(served(way, kind), [-1.0])] == [500, 200]


def recursing() -> BaseException:
    return recursing()


def test_a_model_that_recurses_for_ever_or_wants_all_memory_fails_that_request() -> None:
    def wanting() -> BaseException:
        return bytearray(1 << 62)  # type: ignore[return-value]

    for kind in (recursing, wanting):
        assert [answer.status_code for answer in asked(served("alone", kind), [-1.0])] == [500, 200]
