"""A model server without a model: what the engine, the gateway and the metrics ask of one, at a few microseconds each.

    python -m benchmarks.light_server SOCKET VERSION [--errors SHARE] [--slow SHARE] [--slow-ms MS] [--cut SHARE]
        [--die SHARE] [--leak MB]

It leaves as `deployments.serving` does: SIGTERM makes it unready and lets it say goodbye on open connections for a
second, then it finishes what it is answering. Harm meets only users, not who verifies the version: errors, slowness,
connections that end without an answer. One that dies, of a request or of its memory, is there again a second later.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from deployments.clock import SystemClock
from deployments.serving.recent_mirrored import RecentAnswers

LABEL = 1
_FAREWELL_SECONDS = 1.0
_MEMORY_MB = 100
_KILLED = 137
_RESTART_SECONDS = 1.0


@dataclass(slots=True)
class Service:
    """What one server answers, and has answered so far."""

    version: str
    errors: float
    slow: float
    slow_seconds: float
    cut: float
    die: float
    leak: int
    chance: random.Random
    leaked: list[bytearray] = field(default_factory=list)
    draining: bool = False
    connections: "set[Connection]" = field(default_factory=set)
    predictions: Counter[str] = field(default_factory=Counter)
    recent: RecentAnswers = field(default_factory=RecentAnswers)
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    began: str = field(default_factory=lambda: SystemClock().now().isoformat())

    def dawdles(self, headers: Mapping[str, str]) -> bool:
        """Whether a user is kept waiting now."""
        return from_user(headers) and self.chance.random() < self.slow

    def harms(self, headers: Mapping[str, str]) -> bool:
        """Whether a user is not to be answered at all; the process may end here."""
        if not from_user(headers):
            return False
        if self.leak:
            self.leaked.append(bytearray(b"x") * (self.leak * 1024 * 1024))
        if self.leak * len(self.leaked) > _MEMORY_MB or self.chance.random() < self.die:
            os._exit(_KILLED)
        return self.chance.random() < self.cut

    def invoke(self, headers: Mapping[str, str]) -> tuple[int, object]:
        """A prediction: code and document."""
        failed = from_user(headers) and self.chance.random() < self.errors
        mirrored = headers.get("x-seatrial-mirrored") == "1"
        if not failed and not mirrored:
            self.predictions[str(LABEL)] += 1
        if mirrored or headers.get("x-seatrial-paired") == "1":
            self.recent.keep(headers["x-request-id"], mirrored, None if failed else (str(LABEL),))
        return (500, {"error": "harmful"}) if failed else (200, {"predictions": [LABEL]})

    def tell(self, target: str) -> tuple[int, object]:
        """What the platform asks: code and document."""
        asked = urlsplit(target)
        match asked.path:
            case "/v2/health/ready":
                return (503 if self.draining else 200), {"ready": not self.draining}
            case "/seatrial/counts":
                told = {"predictions": self.predictions, "predictions_of": "requests"}
                return 200, {"epoch": self.epoch, "began": self.began, **told}
            case "/seatrial/answers":
                wanted = {name: int(values[0]) for name, values in parse_qs(asked.query).items()}
                answers, _ = self.recent.after(wanted["after"], wanted["limit"])
                rows = [[each.number, each.request_id, each.mirrored, each.predicted] for each in answers]
                return 200, {"epoch": self.epoch, "last": self.recent.last, "answers": rows}
        return 404, {"error": "no such path"}


class Connection(asyncio.Protocol):
    """HTTP/1.1 without pipelining or chunks, which is what Envoy and http.client speak here."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps where to answer."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own kind says so nowhere
        self._service.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """Forgets the connection."""
        self._service.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answers once a head and its body are complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        first, headers = _parsed(head)
        if len(body) < int(headers.get("content-length", 0)):
            return
        self._received, self._busy = b"", True
        if first[1] != "/invocations":
            self._answer(self._service.tell(first[1]))
        elif self._service.harms(headers):
            self._transport.close()
        elif self._service.dawdles(headers):
            later = asyncio.get_running_loop().call_later
            later(self._service.slow_seconds, lambda: self._answer(self._service.invoke(headers)))
        else:
            self._answer(self._service.invoke(headers))

    def hang_up_if_idle(self) -> None:
        """Closes the connection unless an answer is owed, which then closes it."""
        if not self._busy:
            self._transport.close()

    def _answer(self, said: tuple[int, object]) -> None:
        if self._transport.is_closing():
            return  # whoever asked has left
        code, document = said
        body, service = json.dumps(document).encode(), self._service
        goodbye = "connection: close\r\n" if service.draining else ""
        identity = f"x-seatrial-version: {service.version}\r\n{goodbye}"
        self._transport.write(f"HTTP/1.1 {code} -\r\ncontent-length: {len(body)}\r\n{identity}\r\n".encode() + body)
        self._busy = False
        if service.draining:
            self._transport.close()


def from_user(headers: Mapping[str, str]) -> bool:
    """Whether the gateway passed the request on; whoever asks the socket directly is no user."""
    return "x-forwarded-proto" in headers


async def serve(path: str, service: Service) -> None:
    """Answers until SIGTERM, and a farewell longer."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    server = await loop.create_unix_server(lambda: Connection(service), path, backlog=2048)
    await told.wait()
    service.draining = True
    await asyncio.sleep(_FAREWELL_SECONDS)
    server.close()
    for connection in tuple(service.connections):
        connection.hang_up_if_idle()
    while service.connections:
        await asyncio.sleep(0.01)


def _parsed(head: bytes) -> tuple[list[str], dict[str, str]]:
    """The words of the request line, and the headers by lower-case name."""
    first, *lines = head.decode("latin-1").split("\r\n")
    named = (line.partition(":") for line in lines)
    return first.split(" "), {name.lower(): value.strip() for name, _, value in named}


def _keep_running(socket: Path) -> None:
    """Returns in a child that serves; a second after one died the parent starts another, as supervisord does."""
    while child := os.fork():
        signal.signal(signal.SIGTERM, lambda *_, child=child: os.kill(child, signal.SIGTERM))
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != _KILLED:
            sys.exit(0)
        socket.unlink(missing_ok=True)
        time.sleep(_RESTART_SECONDS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A model server without a model.")
    parser.add_argument("socket")
    parser.add_argument("version")
    parser.add_argument("--errors", type=float, default=0.0, help="share of users' requests that get a 500")
    parser.add_argument("--slow", type=float, default=0.0, help="share of users' requests that are kept waiting")
    parser.add_argument("--slow-ms", type=float, default=0.0, help="for how long")
    parser.add_argument("--cut", type=float, default=0.0, help="share of users' requests whose connection is ended")
    parser.add_argument("--die", type=float, default=0.0, help="share of users' requests that end the process")
    parser.add_argument("--leak", type=int, default=0, help=f"MB kept of each; at {_MEMORY_MB} MB the process ends")
    given = parser.parse_args()
    if given.die or given.leak:
        _keep_running(Path(given.socket))
    chance = random.Random(f"{given.version} {os.getpid()}")
    slow_seconds = given.slow_ms / 1000
    made = Service(given.version, given.errors, given.slow, slow_seconds, given.cut, given.die, given.leak, chance)
    uvloop.run(serve(given.socket, made))
