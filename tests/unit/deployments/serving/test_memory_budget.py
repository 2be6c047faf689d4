"""No client makes a server take more memory than it may: by what is made of a body, and by many at once."""

import asyncio
import gc
import gzip
import json
import time
import tracemalloc
from collections.abc import Callable

import httpx
import orjson
import pytest

from deployments.serving.codecs.content_decoding import parsed
from deployments.serving.http_protocol import end_unfinished
from deployments.serving.inference_request import Query
from deployments.serving.input_validation import Unanswerable
from deployments.serving.loaded_model import Model
from deployments.serving.management_api import make_app
from deployments.serving.memory_budget import MIB, MOST_MADE, SMALL_BYTES, Room, json_takes, rows_within
from deployments.serving.prediction_threads import Job
from deployments.serving.recent_mirrored import RecentAnswers
from deployments.serving.request_body import body_within
from deployments.serving.server_state import Service

PIECES = {
    "lists": b"[]",
    "objects": b"{}",
    "objects of one": b'{"a":1}',
    "small numbers": b"1",
    "numbers": b"1.5",
    "long numbers": b"1234567.25",
    "short texts": b'"ab"',
    "emoji": '"😀"'.encode(),
    "rows": b'[1.5,2.5,"ab"]',
    "nulls": b"null",
    "nested": b"[[[[]]]]",
}


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_what_is_made_of_a_document_takes_no_more_than_is_expected(piece: bytes) -> None:
    body = b"[" + b",".join([piece] * (200_000 // len(piece))) + b"]"
    tracemalloc.start()
    try:
        made = orjson.loads(body)
        assert tracemalloc.get_traced_memory()[0] <= json_takes(body)
    finally:
        tracemalloc.stop()
    assert made


def of_size(piece: bytes, size: int = 8 * MIB) -> bytes:
    return b"[" + b",".join([piece] * ((size - 2) // (len(piece) + 1))) + b"]"


@pytest.mark.parametrize("piece", [b"[]", b"{}", b'{"a":1}', b"[[[[]]]]"])
def test_a_body_of_which_too_much_would_be_made_is_refused_before_it_is(piece: bytes) -> None:
    body = of_size(piece)
    tracemalloc.start()
    try:
        with pytest.raises(Unanswerable) as refused:
            parsed(body)
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413


def test_the_largest_batches_that_people_send_are_taken() -> None:
    rows = json.dumps({"instances": [[1.5, 20, 3, 4.25, "UA"]] * 100_000}).encode()
    records = json.dumps({"dataframe_records": [{"distance": 1400.0, "hour": 5, "carrier": "UA"}] * 100_000}).encode()
    for body in (rows, records, of_size(b"123456.789"), json.dumps(["😀" * 500_000]).encode()):
        assert json_takes(body) <= MOST_MADE


def body_of(pieces: list[bytes], take: Callable[[int], bool]) -> bytes | None:
    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    return asyncio.run(body_within({}, receive, 8 * MIB, take))  # type: ignore[arg-type]


def test_large_bodies_share_what_room_there_is_and_small_ones_need_none() -> None:
    room = Room(3 * MIB)
    assert body_of([bytes(MIB)] * 2, room.take) == bytes(2 * MIB)
    assert body_of([bytes(MIB)], room.take) == bytes(MIB)
    with pytest.raises(Unanswerable) as refused:
        body_of([bytes(MIB)], room.take)
    assert refused.value.status == 503
    assert body_of([bytes(SMALL_BYTES)], room.take) == bytes(SMALL_BYTES)
    room.give_back(MIB)
    assert body_of([bytes(MIB)], room.take) == bytes(MIB)


def test_answers_of_many_rows_are_kept_as_long_as_there_is_room_for_their_values() -> None:
    recent = RecentAnswers(capacity=100, values=10)
    for name in "abcd":
        recent.keep(name, False, (1.0,) * 4)
    answers, dropped = recent.after(0, 100)
    assert ([each.request_id for each in answers], dropped) == (["c", "d"], 2)
    recent.keep("e", False, None)
    assert len(recent.after(0, 100)[0]) == 3


def test_connections_that_are_no_model_servers_own_are_left_alone() -> None:
    end_unfinished([object()])


def test_a_model_of_many_classes_answers_fewer_rows_at_once() -> None:
    found = [rows_within(100_000, 3, classes) for classes in (0, 2, 10, 11, 4000)]
    assert found == [100_000, 100_000, 100_000, 95_325, 262]
    assert rows_within(100_000, 30, 2) == 69_905


def test_what_was_made_of_a_large_request_goes_with_its_answer_not_when_the_collector_comes(model: Model) -> None:
    body = json.dumps({"instances": [[1.0, 2.0, "😀" * 40_000]]}, ensure_ascii=False).encode()
    front = make_app(Service(model, "3"))

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://server") as client:
            return (
                await client.post("/invocations", content=gzip.compress(body), headers={"content-encoding": "gzip"})
            ).status_code

    def made() -> set[int]:
        return {id(each) for each in gc.get_objects() if isinstance(each, Job | Query)}

    gc.collect()
    gc.disable()
    try:
        before = made()
        assert asyncio.run(ask()) == 200
        # A thread may hold its last job for a moment; what holds itself stays until the collector comes.
        for _ in range(6000):
            if made() <= before:
                return
            time.sleep(0.01)
        raise AssertionError("what was made of the request is still there")
    finally:
        gc.enable()
