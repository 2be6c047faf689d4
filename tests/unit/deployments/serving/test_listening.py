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
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.serving.sockets import tcp_listener, unix_listener
from deployments.supervision import UnixConnection

REPOSITORY = Path(__file__).resolve().parents[4]
# A server whose model takes its time: how long stands in the row.
SLOW_SERVER = """
import pandas, sys, time
from datetime import timedelta
from pathlib import Path
from deployments.serving import listening
from deployments.serving.service import Service
from deployments.serving.events import log_as_json
from deployments.serving.limits import Limits
from deployments.serving.listening import serve_until_told
from deployments.serving.description import Description, Feature, Kind, Output
from deployments.serving.model import Model
from deployments.serving.sockets import unix_listener

class Slow:
    def predict(self, frame):
        time.sleep(frame["seconds"].iloc[0])
        return frame["seconds"].to_numpy()

listening._FAREWELL_SECONDS = float(sys.argv[2])
log_as_json()
feature = Feature("seconds", Kind.NUMERIC, "double", required=True)
limits = Limits(time=timedelta(seconds=float(sys.argv[3])))
service = Service(Model(Description("slow", Output.PREDICTION, (), (feature,)), Slow()), "1", limits)
with unix_listener(Path(sys.argv[1])) as listener:
    serve_until_told(service, listener)
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
    with contextlib.closing(UnixConnection(path, timeout=20)) as connection:
        yield connection


def ask(connection: UnixConnection, seconds: float) -> http.client.HTTPResponse:
    connection.request("POST", "/invocations", json.dumps({"instances": [[seconds]]}))
    response = connection.getresponse()
    response.read()
    return response


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
        asking = threading.Thread(target=lambda: statuses.append(ask(busy, 0.8).status))
        asking.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        asking.join()
        assert statuses == [200]
        assert process.wait(10) == 0
        assert not (folder / "s").exists()


def test_a_leaving_server_is_not_ready_and_tells_kept_connections_to_close(folder: Path) -> None:
    with slow_server(folder / "s") as process, connected(folder / "s") as first, connected(folder / "s") as second:
        assert ask(first, 0).getheader("connection") is None
        assert ask(second, 0).status == 200
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        farewell = ask(first, 0)
        assert (farewell.status, farewell.getheader("connection")) == (200, "close")
        second.request("GET", "/v2/health/ready")
        assert second.getresponse().status == 503
        assert process.wait(10) == 0


def test_a_server_that_nobody_asks_leaves_without_a_farewell(folder: Path) -> None:
    with slow_server(folder / "s", farewell=1000.0) as process:
        with connected(folder / "s") as connection:
            assert ask(connection, 0).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_request_that_takes_too_long_is_told_so(folder: Path) -> None:
    with slow_server(folder / "s", longest=1.0), connected(folder / "s") as first, connected(folder / "s") as second:
        assert ask(second, 0).status == 200, "the first frame, for which pandas is imported"
        told = ask(first, 1.8)
        assert (told.status, told.getheader("retry-after"), told.getheader("connection")) == (503, "1", "close")
        assert ask(second, 0).status == 200


def test_a_client_that_does_not_send_its_body_is_told_so(folder: Path) -> None:
    with slow_server(folder / "s", longest=1.0), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        client.sendall(b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        client.settimeout(10)
        assert client.recv(100).startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("words", [b"", b"POST /invocations HTTP/1.1\r\nhost: x\r\n"])
def test_a_client_that_does_not_come_to_the_point_is_hung_up_on(folder: Path, words: bytes) -> None:
    with slow_server(folder / "s", longest=1.0), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(folder / "s"))
        client.sendall(words)
        client.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""


def test_a_kept_connection_may_rest_for_longer_than_a_request_may_take(folder: Path) -> None:
    with slow_server(folder / "s", longest=1.0), connected(folder / "s") as connection:
        assert ask(connection, 0).status == 200
        time.sleep(2.2)
        connection.auto_open = 0
        assert ask(connection, 0).status == 200
