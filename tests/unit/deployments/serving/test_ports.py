"""A server process with a port for users, one for copies and one for copied requests."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.serving.__main__ import main
from tests.model_folder import write_model_folder
from tests.model_process import RECORD, REPOSITORY, ServerProcess, ask, free_ports


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(write_model_folder(tmp_path / "v3"))
    yield server
    server.kill()


def test_each_port_says_what_its_requests_are(server: ServerProcess) -> None:
    for port, times in ((server.users, 3), (server.copies, 2), (server.paired, 1)):
        assert server.ask(port, times) == [200] * times
    told = server.counts()
    assert (told["users"]["requests"], told["copies"]["requests"]) == (4, 2)


def test_who_asks_for_a_version_by_name_is_no_user_of_it(server: ServerProcess) -> None:
    with contextlib.closing(server.connected(server.users)) as connection:
        assert ask(connection, {"x-seatrial-version": "3"}).status == 200
    told = server.counts()
    assert (told["users"]["requests"], told["copies"]["requests"], told["predictions"]) == (0, 1, {})


def test_a_server_that_leaves_answers_what_came_by_any_of_its_ports(server: ServerProcess) -> None:
    ports = server.ports
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(contextlib.closing(server.connected(port))) for port in ports]
        assert [ask(connection).status for connection in kept] == [200] * 3
        unfinished = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for port in ports]
        head = f"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: {len(RECORD)}\r\n\r\n".encode()
        for client in unfinished:
            client.sendall(head + RECORD[:10].encode())
        while server.counts()["in_flight"] < 3:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        farewells = [ask(connection) for connection in kept]
        assert [(each.status, each.getheader("connection")) for each in farewells] == [(200, "close")] * 3
        time.sleep(1.2)
        for client in unfinished:
            client.sendall(RECORD[10:].encode())
            client.settimeout(10)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(10) == 0
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_port_that_is_taken_ends_the_server_with_its_number(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "v3")
    [port] = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        where = ["--port", str(port), "--copies-port", str(number)]
        command = [sys.executable, "-m", "deployments.serving", "--model", str(folder), "--product", "flights"]
        ended = subprocess.run(
            [*command, "--version", "3", *where],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    last = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, last["event"], str(number) in last["error"]) == (1, "cannot listen", True)


@pytest.mark.parametrize("further", ["--copies-port", "--paired-port"])
def test_further_ports_go_with_a_port(further: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--model", "m", "--product", "p", "--version", "1", "--uds", "s", further, "1"])
    assert ended.value.code == 2
    assert "go with --port" in capsys.readouterr().err
