import socket
import tempfile
import threading
from pathlib import Path

import pytest

from deployments.settings import Settings
from flows.entrypoints import warm


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

    monkeypatch.setattr(warm, "_ROOT", tmp_path)
    monkeypatch.setattr(warm, "socket_of", lambda _: place)
    monkeypatch.setattr(warm, "_import_everything", imports)
    monkeypatch.setattr(warm.signal, "signal", lambda *_: None)
    monkeypatch.setattr(warm.os, "_exit", end)
    monkeypatch.setattr(warm.os, "fork", lambda: pytest.fail("it forked"))

    with tempfile.TemporaryDirectory(dir="/tmp") as short, pytest.raises(_EndedError):
        place = Path(short) / "warm.sock"
        warm.serve(Settings(home=tmp_path), lambda: 0)
    callers[0].join(5)

    assert answers == [warm._STALE]
