"""Constant load on the gateway, in a process of its own: so many requests a second, whatever becomes of them.

    python -m benchmarks.load PORT RATE FILE [USERS [PATIENCE]]

Open loop: a request is due at its time, however slow the ones before were. Most go over kept connections, every tenth
over one of its own; three of four carry the key of one of 50,000 users (or USERS), every hundredth the header
`x-group: beta`. No request is ever sent twice; it is given up after PATIENCE seconds, if these are told. Prints when it
begins, on the machine's monotonic clock. Ends when its standard input does, waits for the answers that are owed, and
writes to FILE what became of each request; see `benchmarks.answers`.
"""

import asyncio
import random
import sys
import threading
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop

PRODUCT = "flights"
USERS = 50_000
# Below the 1,024 requests that the gateway lets wait for one version; those beyond are sent as soon as one is answered.
MOST_CONNECTIONS = 500
_BODY = b'{"inputs": [{"name": "row", "shape": [1, 8], "datatype": "FP64", "data": [1, 2, 3, 4, 5, 6, 7, 8]}]}'
_LAST_ANSWERS_SECONDS = 20.0
_TICK_SECONDS = 0.001


class Load:
    """The requests so far, and the connections that they go over."""

    def __init__(self, port: int, users: int = USERS, patience: float | None = None) -> None:
        self._port, self._users, self._patience = port, users, patience
        self._chance = random.Random(7)
        self._idle: list[_Connection] = []
        self._waiting: deque[int] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = 0
        self._owed = 0
        self._due, self._sent, self._done = array("d"), array("d"), array("d")
        self._code, self._version, self._user = array("q"), array("q"), array("q")

    async def run(self, rate: float, stop: threading.Event) -> None:
        """Sends `rate` requests a second until told to stop, then waits for what is owed."""
        began = time.monotonic()
        print(began, flush=True)
        while not stop.is_set():
            for number in range(len(self._due), int((time.monotonic() - began) * rate)):
                self._ask(began + number / rate)
            await asyncio.sleep(_TICK_SECONDS)
        until = time.monotonic() + _LAST_ANSWERS_SECONDS
        while self._owed and time.monotonic() < until:
            await asyncio.sleep(0.01)

    def write(self, path: Path) -> None:
        """Everything that is known."""
        arrays: dict[str, Any] = {
            name: np.array(getattr(self, f"_{name}")) for name in ("due", "sent", "done", "code", "version", "user")
        }
        np.savez(path, **arrays)

    def answered(self, number: int, code: int, version: int) -> None:
        """The answer to a request is there, or (code 0) known never to come."""
        self._done[number], self._code[number], self._version[number] = time.monotonic(), code, version
        self._owed -= 1

    def closed(self, connection: "_Connection") -> None:
        """A connection is no more; whoever waits for one gets a new one."""
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)
        if self._waiting:
            self._over_a_new_one(self._waiting.popleft())

    def free(self, connection: "_Connection") -> None:
        """A connection has nothing to do."""
        if self._waiting:
            self._send(self._waiting.popleft(), connection)
        else:
            self._idle.append(connection)

    def _ask(self, due: float) -> None:
        number = len(self._due)
        self._due.append(due)
        for times in (self._sent, self._done):
            times.append(float("nan"))
        self._code.append(0)
        self._version.append(0)
        self._user.append(self._chance.randrange(self._users) if number % 4 else -1)
        self._owed += 1
        if self._idle and not _alone(number):
            self._send(number, self._idle.pop())
        elif self._open < MOST_CONNECTIONS:
            self._over_a_new_one(number)
        else:
            self._waiting.append(number)

    def _over_a_new_one(self, number: int) -> None:
        self._open += 1
        task = asyncio.get_running_loop().create_task(self._connect(number))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, number: int) -> None:
        self._sent[number] = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port)
        except OSError:
            self._open -= 1
            self.answered(number, 0, 0)
            return
        self._send(number, connection)

    def _send(self, number: int, connection: "_Connection") -> None:
        lines = [f"POST /{PRODUCT}/invocations HTTP/1.1", "host: gateway", "content-type: application/json"]
        lines.append(f"content-length: {len(_BODY)}")
        if self._user[number] >= 0:
            lines.append(f"x-seatrial-key: user-{self._user[number]}")
        if number % 100 == 50:
            lines.append("x-group: beta")
        if _alone(number):
            lines.append("connection: close")
        self._sent[number] = time.monotonic()
        connection.send(number, "\r\n".join([*lines, "", ""]).encode() + _BODY)
        if self._patience is not None:
            asyncio.get_running_loop().call_later(self._patience, connection.give_up, number)


def _alone(number: int) -> bool:
    """Whether the request goes over a connection of its own."""
    return number % 10 == 9


class _Connection(asyncio.Protocol):
    """One request at a time; answers have a length."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._number: int | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind says so nowhere

    def send(self, number: int, request: bytes) -> None:
        self._number = number
        self._transport.write(request)

    def give_up(self, number: int) -> None:
        """Leaves, unless the request is answered."""
        if self._number == number:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or self._number is None:
            return
        first, *lines = head.decode("latin-1").lower().split("\r\n")
        headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if len(body) < int(headers["content-length"]):
            return
        number, self._number, self._received = self._number, None, b""
        self._load.answered(number, int(first.split(" ")[1]), int(headers.get("x-seatrial-version", 0)))
        if headers.get("connection") == "close" or _alone(number):
            self._transport.close()
        else:
            self._load.free(self)

    def connection_lost(self, _: Exception | None) -> None:
        if self._number is not None:
            self._load.answered(self._number, 0, 0)
        self._load.closed(self)


def _told_to_stop() -> threading.Event:
    """Set once standard input ends, be it because whoever started the load died."""
    stop = threading.Event()

    def wait() -> None:
        sys.stdin.buffer.read()
        stop.set()

    threading.Thread(target=wait, daemon=True).start()
    return stop


async def _main(port: str, rate: str, file: str, users: str = str(USERS), patience: str = "") -> None:
    load = Load(int(port), int(users), float(patience) if patience else None)
    await load.run(float(rate), _told_to_stop())
    load.write(Path(file))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
