"""Answers are kept within bounds, by a share that their ids decide, and whatever is not kept is counted."""

import tracemalloc
import uuid
from typing import Any

import numpy as np
import orjson
import pytest

from deployments.serving.inference_log import Bounds, InferenceLog
from deployments.serving.inference_log.arrow_table import Tables
from deployments.serving.inference_log.buffer import Reason
from deployments.serving.row_batch import Batch
from tests.unit.deployments.serving.inference_log.answered import ROW, logged
from tests.unit.deployments.serving.inference_log.test_arrow_table import FLIGHTS


def kept(log: InferenceLog) -> list[str]:
    return [answer.request_id for answer in log.some(10**9, 10**9, 10**12)]


def test_answers_are_given_in_the_order_in_which_they_came_as_many_rows_as_are_wanted() -> None:
    log = InferenceLog()
    for name, rows in (("a", 2), ("b", 1), ("c", 5)):
        log.record(logged(name, (ROW,) * rows))
    assert log.buffered == 8
    assert [answer.request_id for answer in log.some(9, 3)] == ["a", "b"]
    assert [answer.request_id for answer in log.some(9, 3)] == ["c"]
    assert log.some(9, 3) == []
    assert log.buffered == 8
    log.wrote(8)
    assert (log.buffered, log.written_rows, log.parts) == (0, 8, 1)


def test_rows_beyond_the_bound_are_dropped_and_counted_until_there_is_room() -> None:
    log = InferenceLog(bounds=Bounds(rows=3))
    for name in "abcd":
        log.record(logged(name))
    log.record(logged("e", (ROW,) * 2))
    assert log.dropped[Reason.BUFFER_FULL] == 3
    assert kept(log) == ["a", "b", "c"]
    log.record(logged("f"))
    assert log.dropped[Reason.BUFFER_FULL] == 4, "taken, but in no part yet"
    log.wrote(3)
    log.record(logged("g"))
    assert kept(log) == ["g"]


def test_memory_is_bounded_whether_it_is_many_answers_or_large_ones_or_tables() -> None:
    log = InferenceLog(bounds=Bounds(memory_bytes=10_000))
    log.record(logged("large", body_bytes=20_000))
    for name in "abcdefghij":
        log.record(logged(name))
    few = len(log.some(1000, 1000))
    assert 2 < few < 10
    assert log.dropped[Reason.BUFFER_FULL] == 11 - few
    log.held_bytes = 9_000
    log.record(logged("k"))
    assert kept(log) == []
    log.held_bytes = 0
    log.record(logged("l"))
    assert kept(log) == ["l"]


def test_what_is_dropped_during_an_outage_is_counted_by_its_reason() -> None:
    log = InferenceLog(bounds=Bounds(rows=0))
    log.outage = Reason.DISK_FULL
    log.record(logged())
    log.outage = None
    log.record(logged())
    assert (log.dropped[Reason.DISK_FULL], log.dropped[Reason.BUFFER_FULL]) == (1, 1)


@pytest.mark.parametrize(
    "ids",
    [[uuid.UUID(int=n * 2**67 + n).hex for n in range(20_000)], [f"request-{n}" for n in range(20_000)]],
    ids=["uuids", "numbers"],
)
def test_a_share_of_the_requests_is_kept_and_a_larger_share_keeps_those_too(ids: list[str]) -> None:
    few, many = InferenceLog(0.1), InferenceLog(0.5)
    for request_id in ids:
        few.record(logged(request_id))
        many.record(logged(request_id))
    some, more = kept(few), kept(many)
    assert abs(len(some) / len(ids) - 0.1) < 0.01
    assert abs(len(more) / len(ids) - 0.5) < 0.02
    assert set(some) < set(more)
    assert few.dropped[Reason.BUFFER_FULL] == 0, "what is not in the share is not lost"


def test_both_versions_keep_the_same_requests() -> None:
    stable, candidate = InferenceLog(0.3), InferenceLog(0.3)
    for number in range(1000):
        stable.record(logged(str(number), paired=True))
        candidate.record(logged(str(number), mirrored=True))
    assert kept(stable) == kept(candidate)


@pytest.mark.parametrize(("share", "number"), [(0.0, 0), (1.0, 100)])
def test_no_share_keeps_nothing_and_all_of_it_everything(share: float, number: int) -> None:
    log = InferenceLog(share)
    for name in range(100):
        log.record(logged(str(name)))
    assert len(kept(log)) == number


def test_prometheus_own_parser_reads_the_counts() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    log = InferenceLog(bounds=Bounds(rows=3))
    for name in "abcd":
        log.record(logged(name))
    log.some(2, 9)
    log.wrote(2)
    told = {
        (sample.name, sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(log.as_text())
        for sample in family.samples
    }
    assert told["seatrial_server_log_rows_total", None] == 2
    assert told["seatrial_server_log_parts_total", None] == 1
    assert told["seatrial_server_log_buffered_rows", None] == 1
    assert told["seatrial_server_log_dropped_total", "buffer_full"] == 1
    assert told["seatrial_server_log_dropped_total", "disk_full"] == 0


def texts(kind: str) -> list[str]:
    return {
        "emoji": ["😀" * 100_000],
        "one emoji makes all characters wide": ["a" * 400_000 + "😀"],
        "tiny": ["ab"] * 20_000,
        "empty": [""] * 20_000,
        "two bytes": ["ж" * 200_000],
        "long": ["a" * 500_000],
        "escapes": ["\u0001" * 50_000],
    }[kind]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "kind", ["emoji", "one emoji makes all characters wide", "tiny", "empty", "two bytes", "long", "escapes"]
)
def test_what_waits_takes_no_more_memory_than_is_counted(kind: str, compressed: bool) -> None:
    """As it is, and as a block of a table."""
    body = orjson.dumps(texts(kind))
    log = InferenceLog(bounds=Bounds(memory_bytes=2**40, rate=2**40))
    tables = Tables(FLIGHTS)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        column = orjson.loads(body)
        rows = len(column)
        batch = Batch(rows, np.zeros((rows, 2)), (column,))
        length = None if compressed else len(body)
        log.record(logged("a", batch=batch, predictions=np.zeros((rows, 2)), body_bytes=length, key=b"ann"))
        del batch, column
        taken = tracemalloc.get_traced_memory()[0] - before
        assert taken <= log.waiting_bytes
        assert log.waiting_bytes < 8 * len(body) + 256 * rows + 20_000, "a bound that tells something"
        counted, answers = log.waiting_bytes, log.some(9, 10**9)
        made = list(tables.blocks(answers, 0.0))
        assert sum(block.nbytes for _, block in made) <= counted
    finally:
        tracemalloc.stop()


def test_a_long_key_does_not_stand_in_every_row() -> None:
    rows = ((1.0, 2.0, "UA"),) * 1000
    [(_, block)] = Tables(FLIGHTS).blocks([logged("a", rows, key=b"k" * 60_000)], 0.0)
    assert block.nbytes < 200_000
    log = InferenceLog(bounds=Bounds(memory_bytes=50_000))
    log.record(logged("a", key=b"k" * 60_000))
    assert log.dropped[Reason.BUFFER_FULL] == 1


def test_what_was_taken_counts_until_it_is_in_a_table() -> None:
    log = InferenceLog(bounds=Bounds(memory_bytes=6_000))
    log.record(logged("a"))
    log.record(logged("b"))
    assert len(log.some(9, 9)) == 2
    counted = log.waiting_bytes
    assert counted > 3_000
    log.record(logged("c"))
    assert log.dropped[Reason.BUFFER_FULL] == 1
    log.done()
    assert log.waiting_bytes == 0
    log.record(logged("d"))
    assert log.dropped[Reason.BUFFER_FULL] == 1


def test_an_answer_holds_on_to_no_others_that_were_worked_out_with_it() -> None:
    whole = np.zeros((64, 1000))
    log = InferenceLog()
    log.record(logged(predictions=whole[3:4]))
    [answer] = log.some(9, 9)
    assert answer.predictions.base is None


def test_rows_come_no_faster_than_the_log_may_grow_and_small_ones_find_room() -> None:
    def large(at: float) -> Any:
        return logged("large", ((1.0, 2.0, "x" * 9_000),), body_bytes=9_000, answered=at)

    log = InferenceLog(bounds=Bounds(rate=1_000, memory_bytes=2**30))
    for second in range(100):
        log.record(large(1000.0 + second))
        log.record(logged("small", answered=1000.0 + second))
    written = kept(log)
    assert written.count("small") == 100
    assert written.count("large") < 15, "30 s at once, and then as many as there is room for"
    assert log.dropped[Reason.RATE] == 100 - written.count("large")
    log.record(large(2000.0))
    assert kept(log) == ["large"]


def test_the_writer_is_woken_for_much() -> None:
    log = InferenceLog()
    log.record(logged())
    assert not log.much.is_set()
    log.record(logged(body_bytes=2**20))
    assert log.much.is_set()
