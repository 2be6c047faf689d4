"""A server leaves under load, and its successor listens where it did: whoever was let in gets the right answer."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile.framing import asking
from tests.hostile.served import Served, posted, seconds_of, serving, short_folder
from tests.hostile.slow_model import SECONDS_A_ROW, TRUST
from tests.model_folder import verification_of


class Load:
    """Callers that ask all the time, half of them over a connection that they keep as long as they may."""

    def __init__(self, path: Path, model: Path, callers: int = 4) -> None:
        self.versions: Counter[str] = Counter()
        self.lost: list[str] = []
        self._path, self._done = path, threading.Event()
        self._body, self._expected = verification_of(model)
        self._threads = [threading.Thread(target=self._ask, args=(number % 2 == 0,)) for number in range(callers)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, keeps: bool) -> None:
        with contextlib.closing(Served(self._path, self._path, self._path).connection()) as connection:
            while not self._done.wait(0.01):
                try:
                    answer = posted(connection, "/invocations", self._body)
                except (OSError, http.client.HTTPException) as error:
                    self.lost.append(repr(error))
                    connection.close()
                    continue
                if answer.status != 200 or json.loads(answer.content)["predictions"] != self._expected:
                    self.lost.append(f"{answer.status} {answer.content!r}")
                self.versions[str(answer.headers["x-seatrial-version"])] += 1
                if not keeps:
                    connection.close()


def handed_over(model: Path, folder: Path, times: int) -> Load:
    """The load that saw so many servers come and go at one path."""
    place = folder / "s"
    with contextlib.ExitStack() as stack:
        current = Served(model, place, folder / "log", version=1)
        stack.callback(current.end)
        current.start()
        with Load(place, model) as load:
            for version in range(2, times + 2):
                successor = Served(model, place, folder / "log", version=version)
                stack.callback(successor.end)
                successor.start()
                current.terminate()
                assert current.process.wait(20) == 0
                current = successor
            time.sleep(0.3)
    print(f"\n{times} handovers: {sum(load.versions.values())} answers, {len(load.lost)} lost; {dict(load.versions)}")
    return load


def test_no_request_is_lost_when_servers_take_over_from_each_other(model: Path) -> None:
    with short_folder() as folder:
        load = handed_over(model, folder, times=2)
    assert load.lost == []
    assert min(load.versions[version] for version in "123") > 20


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_no_request_is_lost_however_often_they_do(model: Path) -> None:
    end, handovers = time.monotonic() + seconds_of(300), 0
    while time.monotonic() < end:
        with short_folder() as folder:
            assert handed_over(model, folder, times=8).lost == []
        handovers += 8
    print(f"{handovers} handovers")


@contextlib.contextmanager
def leaving(slow_model: Path, *options: str) -> Iterator[Served]:
    with serving(slow_model, *TRUST, *options) as served:
        yield served
        assert served.process.poll() is not None, "it has left"


def test_whoever_was_let_in_is_answered_however_long_it_takes(slow_model: Path) -> None:
    rows = round(2.0 / SECONDS_A_ROW)
    request = asking(b'{"instances": [[0.25, 5, "UA"]]}')
    with leaving(slow_model) as served, contextlib.closing(served.connection()) as busy, served.socket() as sending:
        busy.request("POST", "/invocations", json.dumps({"instances": [[0.25, 5, "UA"]] * rows}))
        sending.sendall(request[:-20])
        time.sleep(0.3)
        served.terminate()
        time.sleep(1.5)  # beyond the farewell
        sending.sendall(request[-20:])
        response = busy.getresponse()
        assert (response.status, response.getheader("connection")) == (200, "close")
        assert json.loads(response.read())["predictions"] == [[0.75, 0.25]] * rows
        answer = sending.recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert answer.endswith(b'{"predictions":[[0.75,0.25]]}')
        assert served.process.wait(10) == 0
        with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as late:
            late.connect(str(served.path))


def test_clients_that_never_come_to_the_point_do_not_keep_it(slow_model: Path) -> None:
    half = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{"
    with leaving(slow_model, "--max-seconds", "2") as served, contextlib.ExitStack() as clients:
        silent, slow, deaf = (clients.enter_context(served.socket()) for _ in range(3))
        slow.sendall(half)
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            large = memoryview(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n" * 100)
            while large:
                large = large[deaf.send(large) :]
        time.sleep(0.3)
        served.terminate()
        assert served.process.wait(15) == 0
        assert silent.recv(1) == b""
