"""Clients that take their time, or never come to an end: everybody else is served as ever, and they are hung up on."""

import contextlib
import resource
import select
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.framing import asking
from tests.hostile.served import Served, posted, seconds_of, serving
from tests.model_folder import verification_of

MAX_SECONDS = 2.0
# The sweep comes twice a second, and the machine may be busy.
GRACE_SECONDS = 3.0
HEALTHY_SECONDS = 0.5
MOST_MIB = 300
IDLE, TRICKLING, DEAF = 300, 60, 20
_HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"


class Slow:
    """Many connections, each of which says a byte now and then, and reads only what tells it that it was hung up on."""

    def __init__(self, served: Served) -> None:
        self.ended_after: list[float] = []
        self.told: Counter[bytes] = Counter()
        self._selector = selectors.DefaultSelector()
        self._words = {
            b"nothing": (IDLE, b"", b""),
            b"slow head": (TRICKLING, b"POST /invocations HTTP/1.1\r\nhost: x\r\n", b"x"),
            b"slow body": (TRICKLING, _HEAD + b"\r\n{", b" "),
            b"slow rest of an answered request": (TRICKLING, _HEAD.replace(b"/invocations", b"/v2") + b"\r\n{", b" "),
            b"empty lines": (TRICKLING, b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n"),
        }
        self._open: dict[socket.socket, tuple[float, bytes]] = {}
        for count, first, trickle in self._words.values():
            for _ in range(count):
                client = served.socket()
                client.sendall(first)
                client.setblocking(False)
                self._open[client] = (time.monotonic(), trickle)
                self._selector.register(client, selectors.EVENT_READ)

    @property
    def left(self) -> int:
        return len(self._open)

    def trickle(self, seconds: float) -> None:
        """A byte each a few times a second, for so long or until all are hung up on."""
        end = time.monotonic() + seconds
        while self._open and time.monotonic() < end:
            for client, (_, byte) in list(self._open.items()):
                with contextlib.suppress(OSError):
                    client.send(byte)
            until = time.monotonic() + 0.2
            while (left := until - time.monotonic()) > 0:
                for key, _ in self._selector.select(left):
                    self._hear(key.fileobj)  # type: ignore[arg-type]

    def _hear(self, client: socket.socket) -> None:
        try:
            heard = client.recv(65_536)
        except ConnectionError:
            heard = b""
        if heard:
            self.told[heard[9:12]] += 1
            return
        since, _ = self._open.pop(client)
        self.ended_after.append(time.monotonic() - since)
        self._selector.unregister(client)
        client.close()


class Healthy:
    """Somebody who asks thirty times a second meanwhile."""

    def __init__(self, served: Served) -> None:
        self.seconds: list[float] = []
        self.codes: Counter[int] = Counter()
        self._served, self._done = served, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> "Healthy":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _ask(self) -> None:
        body, _ = verification_of(self._served.folder)
        with contextlib.closing(self._served.connection()) as kept:
            while not self._done.wait(0.03):
                begun = time.monotonic()
                self.codes[posted(kept, "/invocations", body).status] += 1
                self.seconds.append(time.monotonic() - begun)

    def __str__(self) -> str:
        ordered = sorted(self.seconds) or [0.0]
        middle, late = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return f"{len(ordered)} healthy requests: p50 {middle * 1000:.1f} ms, p99 {late * 1000:.1f} ms"


def hang_up(served: Served) -> None:
    """A round of slow clients beside a healthy one."""
    before, descriptors = served.memory_mib, served.descriptors
    with Healthy(served) as healthy:
        slow = Slow(served)
        slow.trickle(2 * MAX_SECONDS + GRACE_SECONDS)
    print(f"\n{len(slow.ended_after)} slow clients hung up on within {max(slow.ended_after):.1f} s; {healthy}")
    assert slow.left == 0
    assert max(slow.ended_after) < 2 * MAX_SECONDS + GRACE_SECONDS
    assert slow.told[b"408"] == TRICKLING, "who sends its body slowly is told"
    assert set(healthy.codes) == {200}
    assert sorted(healthy.seconds)[len(healthy.seconds) * 95 // 100] < HEALTHY_SECONDS
    assert served.memory_mib < before + MOST_MIB
    assert served.descriptors <= descriptors + 5
    assert served.answers_rightly()


class Deaf:
    """Clients that ask as fast as they can and never read."""

    def __init__(self, served: Served, words: bytes) -> None:
        self._left = {served.socket(): memoryview(words) for _ in range(DEAF)}
        for client in self._left:
            client.setblocking(False)

    def ask_on(self) -> None:
        """As much as the server takes at the moment."""
        for client, words in self._left.items():
            with contextlib.suppress(OSError):
                while words:
                    words = words[client.send(words) :]  # noqa: PLW2901 - what is left of it
                    self._left[client] = words

    @property
    def left(self) -> int:
        """How many were not hung up on."""
        poll = select.poll()
        for client in self._left:
            poll.register(client, 0)
        return DEAF - len(poll.poll(0))

    def close(self) -> None:
        for client in self._left:
            client.close()


def outwait(served: Served, rows: int) -> None:
    """A round of deaf clients that ask about so many rows in each request."""
    asked = asking(b'{"instances": [' + b",".join([b"[1,2,null]"] * rows) + b"]}")
    before, descriptors = served.memory_mib, served.descriptors
    deaf = Deaf(served, asked * (2_000_000 // len(asked)))
    begun, ended = time.monotonic(), 0.0
    with Healthy(served) as healthy, contextlib.closing(deaf):
        while deaf.left:
            deaf.ask_on()
            ended = time.monotonic() - begun
            assert ended < 4 * MAX_SECONDS + GRACE_SECONDS, "they are still there"
            time.sleep(0.05)
    print(f"{DEAF} deaf clients, {rows} rows a request: hung up on within {ended:.1f} s; {healthy}")
    assert set(healthy.codes) <= {200}
    assert served.descriptors <= descriptors + 3
    assert served.peak_mib < before + MOST_MIB
    assert served.answers_rightly()


@contextlib.contextmanager
def few_descriptors() -> Iterator[None]:
    """Who is started meanwhile may open fewer files than there are slow clients, unless it asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (IDLE, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_who_asks_slowly_or_never_reads_is_hung_up_on_and_nobody_else_notices(model: Path) -> None:
    with contextlib.ExitStack() as stack:
        with few_descriptors():
            served = stack.enter_context(serving(model, "--max-seconds", str(MAX_SECONDS)))
        hang_up(served)
        outwait(served, rows=4)
        outwait(served, rows=20_000)


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_slow_clients_leave_nothing_behind_however_often_they_come(model: Path) -> None:
    with serving(model, "--max-seconds", str(MAX_SECONDS)) as served:
        hang_up(served)
        before, end = served.memory_mib, time.monotonic() + seconds_of(300)
        while time.monotonic() < end:
            hang_up(served)
            outwait(served, rows=20_000)
        print(f"memory {before:.0f} MiB after the first round, {served.memory_mib:.0f} after the last")
        assert served.memory_mib < before + 60
