"""The load, in a process of its own: whole requests made beforehand, over raw sockets on loopback.

    python -m benchmarks.serving.client PORT DIALECT ROWS-FILE ROWS-A-REQUEST WARM-UP SECONDS RATE CONNECTIONS

With RATE 0 each connection asks again as soon as it is answered (closed loop); else requests are due at random moments,
so many a second on average and the same ones for everybody, and time counts from when one was due (open loop). Every
answer has to be a 200 that says what scikit-learn says, within 1e-9; the first that does not ends the run with its
reason. After a warm-up it prints `ready`, begins once a line comes in, prints `done` when the last answer is there,
then what it found.
"""

import random
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

from benchmarks.serving.dialects import DIALECTS, Dialect

_DIFFERENT_REQUESTS = 8
_TOLERANCE = 1e-9
_LONGEST_ANSWER_SECONDS = 60.0
_PART = 1 << 18


class Wrong(Exception):
    """An answer that makes the measurement worthless."""


class Connection:
    """One kept connection with one request at a time; `due` is when the one that is owed was due."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._unsent, self._received, self._needed = memoryview(b""), bytearray(), 0
        self.number, self.due = -1, 0.0

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def ask(self, number: int, request: bytes, due: float) -> None:
        """Sends what fits now; `send_more` the rest."""
        self.number, self.due, self._unsent, self._needed = number, due, memoryview(request), 0
        self.send_more()

    @property
    def has_more_to_send(self) -> bool:
        """Whether a part of the request has still to go."""
        return bool(self._unsent)

    def send_more(self) -> None:
        """Sends what fits now."""
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            return

    def body(self) -> bytes | None:
        """The answer's body once it is whole. Raises `Wrong` for any code but 200."""
        part = self._socket.recv(_PART)
        if not part:
            raise Wrong("the server hung up")
        self._received += part
        if not self._needed:
            self._read_head()
        if not self._needed or len(self._received) < self._needed:
            return None
        body = bytes(self._received[self._head_ends :])
        self._received.clear()
        return body

    def _read_head(self) -> None:
        ends = self._received.find(b"\r\n\r\n")
        if ends < 0:
            return
        head = bytes(self._received[:ends]).lower()
        if not head.startswith(b"http/1.1 200"):
            raise Wrong(self._received[:600].decode("latin-1"))
        _, found, after = head.partition(b"content-length:")
        if not found:
            raise Wrong("an answer without a length: " + head.decode("latin-1"))
        self._head_ends = ends + 4
        self._needed = self._head_ends + int(after.split(b"\r\n", 1)[0])


class Load:
    """Requests with the answers that they must get."""

    def __init__(self, dialect: Dialect, file: Path, size: int) -> None:
        stored = np.load(file)
        parts = [slice(number * size, (number + 1) * size) for number in range(_DIFFERENT_REQUESTS)]
        columns, rows = stored["columns"].tolist(), np.ascontiguousarray(stored["rows"])
        self.requests = [dialect.request(columns, rows[part]) for part in parts]
        self._expected = [stored["probabilities"][part] for part in parts]
        self._right: list[set[bytes]] = [set() for _ in parts]
        self._dialect = dialect

    def check(self, number: int, body: bytes) -> None:
        """Raises `Wrong` unless the answer is right; the same bytes are looked at once."""
        right = self._right[number]
        if body in right:
            return
        expected = self._expected[number]
        said = np.asarray(self._dialect.probabilities(orjson.loads(body)), dtype=float)
        if said.shape != expected.shape or not np.allclose(said, expected, rtol=0, atol=_TOLERANCE):
            raise Wrong(f"predictions differ from scikit-learn's: {body[:300]!r}")
        if len(right) < 1_000:
            right.add(body)


def run(load: Load, connections: list[Connection], dues: Iterator[float]) -> list[float]:
    """Sends what is due over whichever connection is free; seconds from due to answered of each request."""
    idle, busy, took = deque(connections), set[Connection](), list[float]()
    asked, due = 0, next(dues, None)
    while due is not None or busy:
        now = time.perf_counter()
        while due is not None and due <= now and idle:
            number = asked % _DIFFERENT_REQUESTS
            connection = idle.popleft()
            connection.ask(number, load.requests[number], due or now)
            busy.add(connection)
            asked, due = asked + 1, next(dues, None)
        patience = _LONGEST_ANSWER_SECONDS if due is None or not idle else max(0.0, due - time.perf_counter())
        readable, writable, _ = select.select(busy, [each for each in busy if each.has_more_to_send], [], patience)
        if not readable and not writable and patience == _LONGEST_ANSWER_SECONDS:
            raise Wrong(f"no answer within {patience:g} s")
        for connection in writable:
            connection.send_more()
        for connection in readable:
            body = connection.body()
            if body is not None:
                took.append(time.perf_counter() - connection.due)
                load.check(connection.number, body)
                busy.remove(connection)
                idle.append(connection)
    return took


def dues(seconds: float, rate: float) -> Iterator[float]:
    """When requests are due, on this process's clock; with rate 0 always at once (0.0), until the time is over."""
    began = time.perf_counter()
    if not rate:
        while time.perf_counter() - began < seconds:
            yield 0.0
        return
    chance, due = random.Random(7), 0.0
    while (due := due + chance.expovariate(rate)) < seconds:
        yield began + due


def main(port: str, dialect: str, file: str, size: str, *numbers: str) -> None:
    """See the module."""
    warm_up, seconds, rate, connections = (float(number) for number in numbers)
    load = Load(DIALECTS[dialect], Path(file), int(size))
    opened = [Connection(int(port)) for _ in range(int(connections))]
    run(load, opened, dues(warm_up, 0))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    took = np.array(run(load, opened, dues(seconds, rate)))
    lasted = time.perf_counter() - began
    print("done", flush=True)
    for connection in opened:
        connection.close()
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    print(orjson.dumps({"requests": len(took), "seconds": lasted, "p50_ms": float(p50), "p99_ms": float(p99)}).decode())


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (Wrong, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
