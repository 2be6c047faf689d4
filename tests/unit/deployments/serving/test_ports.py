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

from deployments.caller_authentication import GATEWAY_HEADER, KEY, RUN_HEADER, Proofs
from deployments.key_files import key
from deployments.serving.__main__ import main
from tests.model_folder import write_model_folder
from tests.model_process import RECORD, REPOSITORY, ServerProcess, ask
from tests.ports import free_port


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model_folder(tmp_path / "v3")


@pytest.fixture
def server(model: Path) -> Iterator[ServerProcess]:
    server = ServerProcess(model)
    yield server
    server.kill()


def test_each_port_says_what_its_requests_are(server: ServerProcess) -> None:
    for port, times in ((server.users, 3), (server.copies, 2), (server.paired, 1)):
        assert server.ask(port, times) == [200] * times
    told = server.counts()
    assert (told["users"]["requests"], told["copies"]["requests"]) == (4, 2)


def test_who_asks_for_a_version_by_name_is_no_user_of_it_and_no_copy(server: ServerProcess) -> None:
    """A client could decide a comparison of copies else: by rows of his own, under the id of a request of his."""
    for port in server.ports:
        with contextlib.closing(server.connected(port)) as connection:
            assert ask(connection, {"x-seatrial-version": "3"}).status == 200
    with contextlib.closing(server.connected(server.users)) as connection:
        assert ask(connection, path="/v2/models/flights/versions/3/infer").status == 400
    told = server.counts()
    assert (told["users"]["requests"], told["copies"]["requests"], told["predictions"]) == (0, 0, {})
    assert server.told("/seatrial/answers")[1]["answers"] == []


@pytest.fixture
def proofs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Proofs:
    """Of whoever started the server."""
    key(tmp_path / "keys", KEY)
    proofs = Proofs(tmp_path / "keys")
    for name, value in proofs.told_to_pods("flights", 3).items():
        monkeypatch.setenv(name, value)
    return proofs


QUESTIONS = ("/seatrial/counts", "/seatrial/answers", "/seatrial/users?salt=a")


def test_what_was_answered_is_told_to_a_run_that_shows_its_proof_and_at_one_port(
    proofs: Proofs, server: ServerProcess
) -> None:
    """`proofs` first: the server is started with what they tell it."""
    run, gateway = proofs.of_run("flights", 3), proofs.of_gateway("flights")
    for path in QUESTIONS:
        assert server.told(path, {RUN_HEADER: run})[0] == 200
        for shown in ({}, {RUN_HEADER: gateway}, {GATEWAY_HEADER: gateway}, {RUN_HEADER: proofs.of_run("flights", 4)}):
            code, told = server.told(path, shown)
            assert (code, set(told)) == (401, {"error", "request_id"})
        for port in (server.users, server.paired):
            assert server.told(path, {RUN_HEADER: run}, port)[0] == 404


def test_forged_copies_are_turned_away_and_count_for_nothing(proofs: Proofs, server: ServerProcess) -> None:
    gateway = {GATEWAY_HEADER: proofs.of_gateway("flights")}
    forged = [{}, {GATEWAY_HEADER: "guessed"}, {"x-seatrial-mirrored": "1"}, {RUN_HEADER: proofs.of_gateway("flights")}]
    for headers in forged:
        with contextlib.closing(server.connected(server.copies)) as connection:
            assert ask(connection, headers).status == 403
    with contextlib.closing(server.connected(server.copies)) as connection:
        assert ask(connection, gateway).status == 200
    run = {RUN_HEADER: proofs.of_run("flights", 3)}
    _, told = server.told("/seatrial/counts", run)
    assert (told["users"]["requests"], told["copies"]["requests"]) == (0, 1)
    assert [each[2] for each in server.told("/seatrial/answers", run)[1]["answers"]] == [True]


def test_a_user_is_answered_at_the_port_of_pairs_whoever_sent_him_but_makes_no_pair(
    proofs: Proofs, server: ServerProcess
) -> None:
    """So that a route of an earlier release, which shows nothing, loses nobody."""
    assert server.ask(server.paired, 2) == [200, 200]
    run = {RUN_HEADER: proofs.of_run("flights", 3)}
    assert server.told("/seatrial/counts", run)[1]["users"]["requests"] == 2
    assert server.told("/seatrial/answers", run)[1]["answers"] == []
    with contextlib.closing(server.connected(server.paired)) as connection:
        assert ask(connection, {GATEWAY_HEADER: proofs.of_gateway("flights")}).status == 200
    assert [each[2] for each in server.told("/seatrial/answers", run)[1]["answers"]] == [False]


def test_a_run_may_try_a_server_by_the_port_of_copies_and_is_in_no_count(proofs: Proofs, server: ServerProcess) -> None:
    run = {RUN_HEADER: proofs.of_run("flights", 3)}
    with contextlib.closing(server.connected(server.copies)) as connection:
        assert ask(connection, run).status == 200
    _, told = server.told("/seatrial/counts", run)
    assert (told["users"]["requests"], told["copies"]["requests"]) == (0, 0)


def test_a_server_that_leaves_tells_who_comes_back_by_any_of_its_ports(model: Path) -> None:
    with leaving(model, farewell=1000) as server, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(contextlib.closing(server.connected(port))) for port in server.ports]
        assert [ask(connection).status for connection in kept] == [200] * 3
        server.process.send_signal(signal.SIGTERM)
        while readiness(server) != 503:
            time.sleep(0.01)
        farewells = [ask(connection) for connection in kept]
        assert [(each.status, each.getheader("connection")) for each in farewells] == [(200, "close")] * 3
        assert server.process.wait(60) == 0


def test_a_server_that_leaves_answers_what_came_by_any_of_its_ports(model: Path) -> None:
    with leaving(model, farewell=0) as server, contextlib.ExitStack() as stack:
        unfinished = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for port in server.ports]
        head = f"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-length: {len(RECORD)}\r\n\r\n".encode()
        for client in unfinished:
            client.sendall(head + RECORD[:10].encode())
        while server.counts()["in_flight"] < 3:
            time.sleep(0.01)
        server.process.send_signal(signal.SIGTERM)
        server.wait_until_it_says("leaving")
        for client in unfinished:
            client.sendall(RECORD[10:].encode())
            client.settimeout(60)
            assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(60) == 0
    for port in server.ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


@contextlib.contextmanager
def leaving(model: Path, farewell: float) -> Iterator[ServerProcess]:
    server = ServerProcess(model, farewell=farewell)
    yield server
    server.kill()


def readiness(server: ServerProcess) -> int:
    with contextlib.closing(server.connected(server.copies)) as connection:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status


def test_a_port_that_is_taken_ends_the_server_with_its_number(model: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        where = ["--port", str(port), "--copies-port", str(number)]
        command = [sys.executable, "-m", "deployments.serving", "--model", str(model), "--product", "flights"]
        ended = subprocess.run(
            [*command, "--version", "3", *where],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=200,
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
