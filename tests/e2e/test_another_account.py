"""What another account of the machine reaches of a platform that runs and has released something."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from deployments.key_files import known_key
from tests.e2e.conftest import Seatrial, Shop

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another account: run as root")
PROGRAM = Path(__file__).with_name("another_account.py")


def as_nobody(**what: Any) -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "-I", str(PROGRAM)],
        input=json.dumps(what),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    reached: dict[str, Any] = json.loads(told.stdout)
    return reached


@pytest.fixture
def released(seatrial: Seatrial, shop: Shop) -> Seatrial:
    told = seatrial.run("release", str(shop.write().file))
    assert told.returncode == 0, told.stderr
    return seatrial


def family(seatrial: Seatrial) -> list[psutil.Process]:
    """All processes of the platform: supervisord, and what it started."""
    [supervisord] = [each for each in seatrial.processes() if "supervisor.supervisord" in " ".join(each.cmdline())]
    return [supervisord, *supervisord.children(recursive=True)]


def test_nobody_else_reaches_more_than_the_gateway(released: Seatrial) -> None:
    home, processes = released.home.resolve(), family(released)
    files = [str(path) for path in (home, *home.rglob("*"))]
    assert {str(home / "keys" / "prefect"), str(home / "journal.db"), str(home / "models")} <= set(files)
    local = {each.laddr for process in processes for each in process.net_connections(kind="unix") if each.laddr}
    listening = {
        each.laddr.port: each.laddr.ip
        for process in processes
        for each in process.net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN
    }
    ports = json.loads((home / "platform.json").read_text())
    [inner] = listening.keys() - {ports[part] for part in ("gateway", "prefect", "mlflow")}
    assert set(listening.values()) == {"127.0.0.1"}
    requests = {
        (ports["prefect"], "GET /api/health"): 200, (ports["prefect"], "POST /api/flow_runs/filter"): 401,
        (ports["prefect"], "GET /dashboard"): 401, (ports["prefect"], "POST /api/deployments/filter"): 401,
        (ports["mlflow"], "GET /health"): 200, (ports["mlflow"], "GET /"): 401,
        (ports["mlflow"], "GET /api/2.0/mlflow/experiments/search?max_results=1"): 401,
        (ports["gateway"], "GET /seatrial/health"): 200, (ports["gateway"], "POST /seatrial/feedback"): 422,
        (inner, "GET /"): None,  # Prefect's worker hears its runs there, each by a secret of its own
    }  # fmt: skip
    reached = as_nobody(
        files=files, processes=[each.pid for each in processes], sockets=sorted(local), requests=list(requests)
    )
    assert reached["files"] == []
    assert reached["processes"] == []
    assert reached["sockets"] == []
    assert {(port, path): status for port, path, status in reached["answers"]} == requests
    secrets = [known_key(home / "keys", each.name).decode() for each in (home / "keys").iterdir()]
    assert len(secrets) >= 3
    assert not [secret for secret in secrets if any(secret in told for told in reached["commands"])]


def test_the_program_that_tries_reaches_what_is_open(tmp_path: Path) -> None:
    """Else the test before would say nothing."""
    opened = Path("/usr/bin/env")
    reached = as_nobody(files=[str(opened)], processes=[], sockets=[], requests=[])
    assert reached["files"] == [str(opened)]
