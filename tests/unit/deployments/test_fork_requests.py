"""Who asks a process for a fork is heard once he says something, and not for ever."""

import contextlib
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import fork_requests
from deployments.fork_requests import Callers, request_of


@pytest.fixture
def short() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="f-", dir="/tmp") as folder:
        yield Path(folder)


def test_only_who_says_something_is_a_caller_and_the_longest_silent_go(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(str(short / "s"))
        listener.listen()
        callers = Callers(listener)
        stack.callback(callers.close)
        silent = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(fork_requests.MOST_SILENT + 1)]
        for each in silent:
            each.connect(str(short / "s"))
            assert callers.next(5) is None
        assert silent[0].recv(1) == b"", "the first of them has been hung up on"
        silent[1].close()
        assert callers.next(5) is None, "who hung up without a word gets no fork"
        silent[-1].sendall(b"x")
        found = callers.next(5)
        assert found is not None
        with found:
            assert found.recv(9) == b"x"


@pytest.mark.parametrize("sent", [b"", b"{}", b"x" * 3000])
def test_a_request_without_end_is_no_request(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_requests, "_MOST_BYTES", 2000)
    monkeypatch.setattr(fork_requests, "_PATIENCE_SECONDS", 0.05)
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        here.sendall(sent)
        with pytest.raises(OSError):
            request_of(there, 3)
