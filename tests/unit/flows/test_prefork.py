"""The warm process: each command is a fork of its own, with the caller's terminal, and dies alone."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.settings import Settings
from flows.entrypoints.runner import prefork, prefork_client


@pytest.fixture
def settings() -> Iterator[Settings]:
    folder = Path(tempfile.mkdtemp(prefix="w-", dir="/tmp"))
    yield Settings(home=folder)
    shutil.rmtree(folder)


def listening(settings: Settings, *answers: bytes) -> threading.Thread:
    """A process that takes one caller, answers so, and is gone."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(prefork_client.socket_of(settings)))
    listener.listen()

    def once() -> None:
        with listener:
            caller, _ = listener.accept()
            with caller:
                if answers:
                    message, descriptors, _, _ = socket.recv_fds(caller, 1 << 20, 3)
                    assert message.endswith(b"\n")
                    for descriptor in descriptors:
                        os.close(descriptor)
                for answer in answers:
                    caller.sendall(answer)

    thread = threading.Thread(target=once)
    thread.start()
    return thread


def test_without_a_warm_process_a_command_runs_by_itself(settings: Settings) -> None:
    assert prefork_client.run_preforked(settings, ["release"]) is None


def test_where_it_is_switched_off_nobody_is_asked(settings: Settings) -> None:
    assert prefork_client.run_preforked(settings.model_copy(update={"warm": False}), ["release"]) is None


@pytest.mark.parametrize(("answers", "code"), [((b"accepted\n", b"0\n"), 0), ((b"acc", b"epted\n130", b"\n"), 130)])
def test_the_exit_code_is_the_forks(settings: Settings, answers: tuple[bytes, ...], code: int) -> None:
    other = listening(settings, *answers)
    assert prefork_client.run_preforked(settings, ["release"]) == code
    other.join()


def test_a_process_that_ends_before_it_accepted_leaves_the_command_to_the_caller(settings: Settings) -> None:
    other = listening(settings)
    assert prefork_client.run_preforked(settings, ["release"]) is None
    other.join()


def test_a_fork_that_was_killed_is_told_of(settings: Settings) -> None:
    other = listening(settings, b"accepted\n")
    with pytest.raises(prefork_client.KilledError):
        prefork_client.run_preforked(settings, ["release"])
    other.join()


class _EndedError(BaseException):
    """In place of the end of the process."""


def test_a_file_that_changed_while_it_was_imported_makes_the_process_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would serve a mixture of old and new modules for as long as it lives."""
    module = tmp_path / "flows" / "module.py"
    module.parent.mkdir()
    module.write_text("old = 1\n")
    answers: list[bytes] = []
    callers: list[threading.Thread] = []

    def imports() -> None:
        module.write_text("new = 1\n")
        callers.append(threading.Thread(target=call))
        callers[0].start()

    def call() -> None:
        with socket.socket(socket.AF_UNIX) as caller:
            while caller.connect_ex(str(place)) != 0:
                pass
            answers.append(caller.recv(16))

    def end(_: int) -> None:
        raise _EndedError

    monkeypatch.setattr(prefork, "_ROOT", tmp_path)
    monkeypatch.setattr(prefork, "socket_of", lambda _: place)
    monkeypatch.setattr(prefork, "_import_everything", imports)
    monkeypatch.setattr(prefork.signal, "signal", lambda *_: None)
    monkeypatch.setattr(prefork.os, "_exit", end)
    monkeypatch.setattr(prefork.os, "fork", lambda: pytest.fail("it forked"))

    with tempfile.TemporaryDirectory(dir="/tmp") as short, pytest.raises(_EndedError):
        place = Path(short) / "warm.sock"
        prefork.serve(Settings(home=tmp_path), lambda: 0)
    callers[0].join(60)

    assert answers == [b""]


as_root = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")
OTHER = "import os, socket, sys; s = socket.socket(socket.AF_UNIX);"


@as_root
def test_a_command_is_not_told_to_another_account(settings: Settings) -> None:
    script = (
        f"{OTHER} s.bind(sys.argv[1]); os.setuid(65534); s.listen(); print(flush=True); print(s.accept()[0].recv(9))"
    )
    command = [sys.executable, "-I", "-c", script, str(prefork_client.socket_of(settings))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        listener.stdout.readline()
        assert prefork_client.run_preforked(settings, ["release"]) is None
        assert listener.stdout.readline() == "b''\n"


@as_root
def test_another_account_gets_no_command_done(settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(prefork_client.socket_of(settings)))
        listener.listen()
        prefork_client.socket_of(settings).chmod(0o777)
        for folder in (settings.home, settings.run_folder):  # what must never be so
            folder.chmod(0o777)
        script = f"{OTHER} os.setuid(65534); s.connect(sys.argv[1]); print(s.recv(9))"
        command = [sys.executable, "-I", "-c", script, str(settings.home / "run" / "warm.sock")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
            callers = prefork._Callers(listener)
            assert callers.next() is None
            assert caller.communicate()[0] == "b''\n"


def test_only_who_says_something_is_a_caller_and_the_longest_silent_go(settings: Settings) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(str(prefork_client.socket_of(settings)))
        listener.listen()
        callers = prefork._Callers(listener)
        stack.callback(callers.close)
        silent = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(prefork._MOST_SILENT + 1)]
        for each in silent:
            each.connect(str(prefork_client.socket_of(settings)))
            assert callers.next() is None
        assert silent[0].recv(1) == b"", "the first of them has been hung up on"
        silent[1].close()
        assert callers.next() is None, "who hung up without a word gets no fork"
        silent[-1].sendall(b"x")
        found = callers.next()
        assert found is not None
        with found:
            assert found.recv(9) == b"x"


@pytest.mark.parametrize("sent", [b"", b"{}", b"x" * 3000])
def test_a_request_without_end_is_no_request(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefork, "_MOST_BYTES", 2000)
    monkeypatch.setattr(prefork, "_PATIENCE_SECONDS", 0.05)
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        here.sendall(sent)
        with pytest.raises(OSError):
            prefork._request_of(there)
