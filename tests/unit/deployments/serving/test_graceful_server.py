import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployments.serving.startup.socket_handover import tcp_listener, unix_listener
from deployments.supervision import UnixConnection

REPOSITORY = Path(__file__).resolve().parents[4]
# A server whose model takes its time: how long stands in the row, and UNTIL_TOLD is until the file `go` lies beside the
# socket. BUSY lets no other thread run, and never ends.
UNTIL_TOLD, BUSY = -1, -2
SLOW_SERVER = """
import pandas, re, sys, time
from datetime import timedelta
from pathlib import Path
from deployments.serving import graceful_server
from deployments.serving.server_state import Service
from deployments.serving.server_log import log_as_json
from deployments.serving.request_limits import Limits
from deployments.serving.graceful_server import serve_until_signal
from deployments.serving.model_metadata import Description, Feature, Kind, Output
from deployments.serving.loaded_model import Model
from deployments.serving.startup.socket_handover import unix_listener

class Slow:
    def predict(self, frame):
        seconds = frame["seconds"].iloc[0]
        if seconds == -2:
            re.match("(a+)+b", "a" * 100)
        while seconds == -1 and not Path(sys.argv[1]).with_name("go").exists():
            time.sleep(0.01)
        time.sleep(max(0, seconds))
        return frame["seconds"].to_numpy()

graceful_server._FAREWELL_SECONDS = float(sys.argv[2])
graceful_server._GRACE_SECONDS = graceful_server._YOUNG_SECONDS = 0.5
log_as_json()
feature = Feature("seconds", Kind.NUMERIC, "double", required=True)
limits = Limits(time=timedelta(seconds=float(sys.argv[3])))
service = Service(Model(Description("slow", Output.PREDICTION, (), (feature,)), Slow()), "1", limits)
with unix_listener(Path(sys.argv[1])) as listener:
    served = serve_until_signal(service, listener)
sys.exit(0 if served else 1)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="l"))
    yield folder
    shutil.rmtree(folder)


@contextlib.contextmanager
def slow_server(path: Path, farewell: float = 1.0, longest: float = 30.0) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SERVER, str(path), str(farewell), str(longest)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        while not path.exists():
            assert process.poll() is None
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def connected(path: Path) -> Iterator[UnixConnection]:
    with contextlib.closing(UnixConnection(path, timeout=60)) as connection:
        yield connection


def ask(connection: UnixConnection, seconds: float) -> http.client.HTTPResponse:
    connection.request("POST", "/invocations", json.dumps({"instances": [[seconds]]}))
    response = connection.getresponse()
    response.read()
    return response


def test_a_server_that_was_stopped_for_long_goes_on_with_what_it_was_answering(folder: Path) -> None:
    path = folder / "s.sock"
    with slow_server(path, longest=2.0) as process, connected(path) as one:
        with asking(path, UNTIL_TOLD) as client:
            wait_until(lambda: counts(path)["in_flight"] == 1)
            process.send_signal(signal.SIGSTOP)
            time.sleep(5)  # longer than a call that hangs is given
            process.send_signal(signal.SIGCONT)
            (folder / "go").touch()
            assert client.recv(1000).startswith(b"HTTP/1.1 ")
        for _ in range(30):
            wait_until(lambda: ask(one, 0).status == 200)
            time.sleep(0.05)
        assert process.poll() is None


def counts(path: Path) -> Any:
    with connected(path) as connection:
        connection.request("GET", "/seatrial/counts")
        return json.loads(connection.getresponse().read())


def readiness(path: Path) -> int:
    """The code that whoever keeps the process is told."""
    with connected(path) as connection:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status


def wait_until_it_leaves(process: "subprocess.Popen[bytes]") -> None:
    """Its farewell is over, and it takes nobody on any more."""
    assert process.stdout is not None
    while b'"leaving"' not in (line := process.stdout.readline()):
        assert line, "it ended without a word"


def asking(path: Path, seconds: float, more: bytes = b"") -> socket.socket:
    """A client that waits for an answer."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    body = json.dumps({"instances": [[seconds]]}).encode()
    client.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body + more)
    return client


def wait_until(holds: Callable[[], bool]) -> None:
    while not holds():
        time.sleep(0.01)


@pytest.mark.parametrize("how", ["close", "reset", "half close", "with another in line", "with a long body"])
def test_a_request_whose_client_leaves_before_the_answer_counts_at_once_as_given_up(folder: Path, how: str) -> None:
    path = folder / "s"
    with slow_server(path):
        more = b"GET /v2 HTTP/1.1\r\nhost: x\r\n\r\n" if how == "with another in line" else b""
        client = asking(path, 25, more) if how != "with a long body" else asking_at_length(path, 25)
        wait_until(lambda: counts(path)["in_flight"] == 1)
        if how == "half close":
            client.shutdown(socket.SHUT_WR)
        else:
            client.close()
        wait_until(lambda: counts(path)["in_flight"] == 0)
        told = counts(path)["users"]
        assert (told["requests"], told["errors"], sum(told["latency"]), sum(told["given_up"])) == (1, 0, 0, 1)
        client.close()


def asking_at_length(path: Path, seconds: float) -> socket.socket:
    """The same with 3 MB of white space in the body."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    body = json.dumps({"instances": [[seconds]]}).encode() + b" " * 3_000_000
    client.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    return client


def test_whoever_leaves_while_he_still_asks_was_let_down_by_nobody(folder: Path) -> None:
    with slow_server(folder / "s"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(folder / "s"))
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        wait_until(lambda: counts(folder / "s")["in_flight"] == 1)
        client.close()
        wait_until(lambda: counts(folder / "s")["in_flight"] == 0)
        told = counts(folder / "s")["users"]
        assert (told["requests"], sum(told["given_up"])) == (0, 0)


def test_a_server_whose_model_hangs_is_not_ready_and_then_ends_itself(folder: Path) -> None:
    with slow_server(folder / "s", longest=3.0) as process, connected(folder / "s") as client:
        assert ask(client, 1000).status == 503
        # The thread took the call up a moment after it came, and has not had it for so long yet.
        wait_until(lambda: readiness(folder / "s") == 503)
        assert process.wait(60) == 1
        assert process.stdout is not None
        assert b'"hangs"' in process.stdout.read()


def test_a_server_that_cannot_even_turn_its_loop_is_ended_and_says_where_it_stood(folder: Path) -> None:
    with slow_server(folder / "s", longest=1.0) as process, asking(folder / "s", BUSY):
        assert process.wait(200) == -signal.SIGPROF
        assert process.stderr is not None
        assert b"in predict" in process.stderr.read()


def test_a_server_that_is_told_to_leave_does_not_wait_for_a_call_that_hangs(folder: Path) -> None:
    with slow_server(folder / "s", longest=4.0) as process, asking(folder / "s", 1000) as client:
        wait_until(lambda: counts(folder / "s")["in_flight"] == 1)
        process.send_signal(signal.SIGTERM)
        assert client.recv(100).startswith(b"HTTP/1.1 503 ")
        assert process.wait(60) in {0, 1}


def test_a_socket_is_for_its_owner_alone_and_goes_with_its_server(folder: Path) -> None:
    with unix_listener(folder / "s"):
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
        assert [path.name for path in folder.iterdir()] == ["s"]
    assert list(folder.iterdir()) == []


def test_a_second_server_takes_the_path_over_and_keeps_it_when_the_first_goes(folder: Path) -> None:
    with contextlib.ExitStack() as first:
        first.enter_context(unix_listener(folder / "s"))
        with unix_listener(folder / "s") as second:
            first.close()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder / "s"))
                accepted, _ = second.accept()
                accepted.close()


def test_a_file_that_a_killed_server_left_is_no_obstacle(folder: Path) -> None:
    (folder / "s").touch()
    (folder / f".{os.getpid()}").touch()
    with unix_listener(folder / "s"), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))


def test_a_port_is_listened_on(folder: Path) -> None:
    with tcp_listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        pass


def test_sigterm_lets_the_server_finish_what_it_is_answering(folder: Path) -> None:
    with slow_server(folder / "s") as process, connected(folder / "s") as busy:
        statuses: list[int] = []
        asking = threading.Thread(target=lambda: statuses.append(ask(busy, UNTIL_TOLD).status))
        asking.start()
        wait_until(lambda: counts(folder / "s")["in_flight"] == 1)
        process.send_signal(signal.SIGTERM)
        wait_until_it_leaves(process)
        (folder / "go").touch()
        asking.join()
        assert statuses == [200]
        assert process.wait(60) == 0
        assert not (folder / "s").exists()


def test_a_leaving_server_is_not_ready_and_tells_kept_connections_to_close(folder: Path) -> None:
    path = folder / "s"
    with slow_server(path, farewell=1000.0) as process, connected(path) as first, connected(path) as second:
        assert ask(first, 0).getheader("connection") is None
        assert ask(second, 0).status == 200
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: readiness(path) == 503)
        farewell = ask(first, 0)
        assert (farewell.status, farewell.getheader("connection")) == (200, "close")
        second.request("GET", "/v2/health/ready")
        assert second.getresponse().status == 503
        second.close()
        assert process.wait(60) == 0


def test_a_server_that_nobody_asks_leaves_without_a_farewell(folder: Path) -> None:
    with slow_server(folder / "s", farewell=1000.0) as process:
        with connected(folder / "s") as connection:
            assert ask(connection, 0).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_request_that_takes_too_long_is_told_so(folder: Path) -> None:
    with slow_server(folder / "s", longest=2.0), connected(folder / "s") as first, connected(folder / "s") as second:
        told = ask(first, 2.6)
        assert (told.status, told.getheader("retry-after"), told.getheader("connection")) == (503, "1", "close")
        wait_until(lambda: ask(second, 0).status == 200)


def test_a_client_that_does_not_send_its_body_is_told_so(folder: Path) -> None:
    with slow_server(folder / "s", longest=1.0), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        client.settimeout(60)
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("words", [b"", b"POST /invocations HTTP/1.1\r\nhost: x\r\n"])
def test_a_client_that_does_not_come_to_the_point_is_hung_up_on(folder: Path, words: bytes) -> None:
    with slow_server(folder / "s", longest=1.0), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        client.sendall(words)
        client.settimeout(60)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_a_kept_connection_may_rest_for_longer_than_a_request_may_take(folder: Path) -> None:
    with slow_server(folder / "s", longest=2.0), connected(folder / "s") as connection:
        wait_until(lambda: ask(connection, 0).status == 200)
        time.sleep(3.2)
        connection.auto_open = 0
        assert ask(connection, 0).status == 200
