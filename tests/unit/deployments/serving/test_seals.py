"""A server seals the ids of answers to users, with a key from a file; without one it serves all the same."""

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.key_files import key
from deployments.request_ids import KEY_NAME, VARIABLE, Seals, without_seal
from tests.model_folder import write_model_folder
from tests.model_process import RECORD, ServerProcess


@contextlib.contextmanager
def server(folder: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(write_model_folder(folder / "v3"))
    try:
        yield process
    finally:
        process.kill()


def asked(server: ServerProcess, port: int, body: str = RECORD, **headers: str) -> tuple[int, str]:
    """Code and id of an answer to a request whose id is `a`."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("POST", "/invocations", body, {"x-request-id": "a", **headers})
        response = connection.getresponse()
        response.read()
        return response.status, response.getheader("x-request-id", "")


def test_answers_to_users_have_a_seal_and_others_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = key(tmp_path / "keys", KEY_NAME)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys" / KEY_NAME))
    with server(tmp_path) as running:
        status, given = asked(running, running.users, **{"x-seatrial-key": "ann"})
        assert status == 200
        opened = Seals(secret).opened(given, "flights", 3)
        assert opened is not None
        assert (opened.request_id, opened.user) == ("a", Seals(secret).user("flights", "ann"))
        assert without_seal(asked(running, running.paired)[1]) != asked(running, running.paired)[1]
        assert asked(running, running.copies) == (200, "a")
        assert asked(running, running.users, **{"x-seatrial-version": "3"}) == (200, "a")
        assert asked(running, running.users, "{}")[1] == "a"


def test_a_key_that_others_may_read_seals_nothing_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key(tmp_path / "keys", KEY_NAME)
    (tmp_path / "keys" / KEY_NAME).chmod(0o644)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "keys" / KEY_NAME))
    with server(tmp_path) as running:
        assert asked(running, running.users) == (200, "a")
