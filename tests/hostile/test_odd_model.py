"""Whatever a model does ends in a 500 or 503 for whoever asked; others are answered, or the server says it cannot."""

import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.hostile.odd_model import DEADLY, MISDEEDS, TRUST, write_odd_model
from tests.hostile.served import REPOSITORY, Served, posted, serving, short_folder

SECONDS = 2.0
# One of them is tried by every `make test`.
FATAL = [
    pytest.param(number, marks=() if number == len(MISDEEDS) - DEADLY + 2 else pytest.mark.crash)
    for number in range(len(MISDEEDS) - DEADLY + 1, len(MISDEEDS) + 1)
]
SURVIVED = range(1, len(MISDEEDS) - DEADLY + 1)


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd_model(tmp_path_factory.mktemp("odd") / "v3")


@pytest.fixture(scope="module")
def server(odd: Path) -> Iterator[Served]:
    """One for all that it survives: what one misdeed leaves behind, the next ones meet."""
    with serving(odd, "--max-seconds", str(SECONDS), *TRUST) as served:
        yield served
        served.terminate()
        assert served.process.wait(60) == 0, "threads and copies that a model left behind keep it from ending"


def body(distance: float) -> bytes:
    return json.dumps({"instances": [[distance, 5, "UA"]]}).encode()


def code(served: Served, distance: float) -> int:
    with contextlib.closing(served.connection(60)) as connection:
        return posted(connection, "/invocations", body(distance)).status


@pytest.mark.parametrize("misdeed", SURVIVED)
def test_whoever_asks_for_it_gets_an_error_and_everybody_else_an_answer(server: Served, misdeed: int) -> None:
    codes: list[int] = []
    asking = threading.Thread(target=lambda: codes.append(code(server, -misdeed)))
    asking.start()
    with contextlib.closing(server.connection(60)) as connection:
        for number in range(3):
            answer = posted(connection, "/invocations", body(number + 0.25))
            assert (answer.status, json.loads(answer.content)) == (200, {"predictions": [[0.75, 0.25]]})
    asking.join(60)
    assert codes[0] in {500, 503}
    assert code(server, 1.5) == 200
    assert "s3cret" not in server.said()


@pytest.mark.parametrize("misdeed", FATAL)
def test_a_server_that_cannot_go_on_ends_at_once_instead_of_saying_that_all_is_well(odd: Path, misdeed: int) -> None:
    with serving(odd, "--max-seconds", str(SECONDS), *TRUST) as served:
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert code(served, -misdeed) in {500, 503}
        # A server may not end itself while it is young: whoever keeps it would take it for one that cannot start.
        if served.process.poll() is None and code_of_health(served) == 200:
            assert code(served, 1.5) == 200
            return
        assert served.process.wait(60) != 0


class Unread(Served):
    """One whose keeper does not read what it says, as a supervisor that was stopped."""

    def _run(self, *options: str) -> None:
        self._process = subprocess.Popen(self._command(*options), cwd=REPOSITORY, stdout=subprocess.PIPE)


def test_a_log_that_nobody_reads_keeps_nobody_waiting(odd: Path) -> None:
    printing, failing = (1 + [each.__name__ for each in MISDEEDS].index(name) for name in ("_printing", "_recursing"))
    with short_folder() as place:
        served = Unread(odd, place / "s", place / "log")
        try:
            served.start("--max-seconds", "10", *TRUST)
            assert [code(served, -misdeed) for misdeed in (printing, failing, printing)] == [500] * 3
            assert code(served, 1.5) == 200
            assert code_of_health(served) == 200
            assert served.process.stdout is not None
            served.process.stdout.close()
            assert [code(served, -misdeed) for misdeed in (printing, failing)] == [500] * 2, "its reader is gone"
            assert code(served, 1.5) == 200
        finally:
            served.end()


def code_of_health(served: Served) -> int:
    try:
        with contextlib.closing(served.connection(60)) as connection:
            connection.request("GET", "/v2/health/ready")
            return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0


def test_a_copy_that_a_model_makes_of_the_process_does_not_live_on_as_a_server(odd: Path) -> None:
    with serving(odd, "--max-seconds", str(SECONDS), *TRUST) as served:
        copying = 1 + [each.__name__ for each in MISDEEDS].index("_copying_the_process")
        assert code(served, -copying) == 500
        copies = psutil.Process(served.process.pid).children()
        deadline = time.monotonic() + 60
        while any(copy.is_running() and copy.status() != psutil.STATUS_ZOMBIE for copy in copies):
            assert time.monotonic() < deadline
            time.sleep(0.05)
