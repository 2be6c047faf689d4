import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.serving.client import Connection, Load, Wrong, dues, run
from benchmarks.serving.dialects import DIALECTS

ROWS = np.arange(48.0).reshape(16, 3)
PROBABILITIES = np.column_stack([ROWS[:, 0] / 100, 1 - ROWS[:, 0] / 100])
Answer = Callable[[np.ndarray], bytes]


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def right(rows: np.ndarray) -> bytes:
    return ok(orjson.dumps([[row[0] / 100, 1 - row[0] / 100] for row in rows.tolist()]))


@pytest.fixture
def load(tmp_path: Path) -> Load:
    np.savez(tmp_path / "rows.npz", columns=np.array(["a", "b", "c"]), rows=ROWS, probabilities=PROBABILITIES)
    return Load(DIALECTS["JSON rows"], tmp_path / "rows.npz", 2)


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], int]]:
    """Answers one connection, request by request, in parts of 20 bytes; the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answering(answer: Answer) -> int:
        threading.Thread(target=lambda: _serve_one(listener, answer), daemon=True).start()
        port: int = listener.getsockname()[1]
        return port

    yield answering
    listener.close()


def _serve_one(listener: socket.socket, answer: Answer) -> None:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, connection.makefile("rb") as requests:
        while requests.readline():
            length = 0
            while (line := requests.readline()) != b"\r\n":
                name, _, value = line.partition(b":")
                length = int(value) if name == b"content-length" else length
            whole = answer(np.array(orjson.loads(requests.read(length))["rows"]))
            for start in range(0, len(whole), 20):
                connection.sendall(whole[start : start + 20])


def ask(load: Load, port: int, due: Iterator[float]) -> list[float]:
    connection = Connection(port)
    try:
        return run(load, [connection], due)
    finally:
        connection.close()


def test_right_answers_are_counted_however_they_come_in_parts(load: Load, serve: Callable[[Answer], int]) -> None:
    assert len(ask(load, serve(right), iter([0.0] * 40))) == 40


def test_a_prediction_that_differs_by_more_than_1e9_th_ends_the_run(load: Load, serve: Callable[[Answer], int]) -> None:
    def slightly_off(rows: np.ndarray) -> bytes:
        return ok(orjson.dumps([[row[0] / 100 + 2e-9, 1 - row[0] / 100] for row in rows.tolist()]))

    with pytest.raises(Wrong, match="differ from scikit-learn's"):
        ask(load, serve(slightly_off), iter([0.0]))


def test_an_answer_of_another_code_ends_the_run_and_is_quoted(load: Load, serve: Callable[[Answer], int]) -> None:
    with pytest.raises(Wrong, match="503 Busy"):
        ask(load, serve(lambda _: b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"), iter([0.0]))


def test_time_counts_from_when_a_request_was_due_not_from_when_it_could_be_sent(
    load: Load, serve: Callable[[Answer], int]
) -> None:
    stalls = iter([0.3])

    def stalling_once(rows: np.ndarray) -> bytes:
        time.sleep(next(stalls, 0.0))
        return right(rows)

    now = time.perf_counter()
    took = ask(load, serve(stalling_once), iter([now + 0.001 * number for number in range(10)]))
    assert len(took) == 10
    assert min(took) > 0.25


def test_random_moments_are_the_same_for_everybody_and_as_many_as_asked_for() -> None:
    first, second = list(dues(100.0, 50.0)), list(dues(100.0, 50.0))
    assert np.allclose(np.diff(first), np.diff(second))
    assert 4_700 < len(first) < 5_300
