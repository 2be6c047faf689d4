"""A request that ends its server is told by the next one."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deployments.serving.inflight_record import open_crash_record
from deployments.serving.loaded_model import Model
from deployments.serving.recent_by_user import StickyKeys
from deployments.serving.server_state import Service
from tests.unit.deployments.serving.test_counts import MIRRORED
from tests.unit.deployments.serving.test_management_api import RECORD, Caller

NOTHING = {"keyless": 0, "keyed": 0, "copies": 0}
# Begins what its arguments say, and is killed.
DYING = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from deployments.serving.inflight_record import open_crash_record
with open_crash_record(Path(sys.argv[1])) as remains:
    for kind in sys.argv[2:]:
        remains.begin(SimpleNamespace(aside=False, mirrored=kind == "copies", key=b"ann" if kind == "keyed" else None))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die(path: Path, *kinds: str) -> None:
    """A server is killed while it answers these."""
    ended = subprocess.run([sys.executable, "-c", DYING, str(path), *kinds], check=False, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL


def lost(path: Path) -> dict[str, int]:
    with open_crash_record(path) as remains:
        assert remains is not None
        return remains.lost


def test_what_a_killed_server_was_answering_is_known_to_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "remains"
    assert lost(path) == NOTHING
    die(path, "keyless", "keyless", "keyed", "copies", "keyless")
    assert lost(path) == {"keyless": 3, "keyed": 1, "copies": 1}
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_waits_for_a_server_that_lives_long_enough_to_tell_it_and_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "remains"
    die(path, "keyless")
    die(path, "keyless", "keyed")
    with open_crash_record(path) as remains:
        assert remains is not None
        assert remains.lost == {"keyless": 2, "keyed": 1, "copies": 0}
        remains.have_been_told()
    assert lost(path) == NOTHING


def test_a_server_that_ends_by_itself_leaves_nothing(tmp_path: Path, model: Model) -> None:
    with open_crash_record(tmp_path / "remains") as remains:
        caller = Caller(Service(model, "3", remains=remains))
        for body in (RECORD, {}):
            caller.post("/invocations", body)
            caller.post("/invocations", body, **MIRRORED)
    assert lost(tmp_path / "remains") == NOTHING


def test_they_are_told_as_requests_that_failed(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "remains"
    die(path, "keyless", "keyed", "copies")
    with open_crash_record(path) as remains:
        caller = Caller(Service(model, "3", remains=remains, keys=StickyKeys.of("x-user", None)))
        caller.post("/invocations", RECORD)
        told: Any = caller.get("/seatrial/counts").json()
        text = caller.get("/metrics").text
    kinds = {kind: [told[kind][what] for what in ("requests", "errors")] for kind in ("users", "keyed", "copies")}
    assert kinds == {"users": [3, 2], "keyed": [1, 1], "copies": [1, 1]}
    assert sum(told["users"]["latency"]) == 1
    assert 'seatrial_server_requests_total{code="502",mirrored="false"} 2' in text
    assert lost(path) == NOTHING


def test_without_a_place_nothing_is_left() -> None:
    with open_crash_record(None) as remains:
        assert remains is None


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"), open_crash_record(tmp_path / "nowhere" / "remains"):
        pass
