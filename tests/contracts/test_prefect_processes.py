"""Processes that ask Prefect's real server: a worker, a preforked command, a run whose record is deleted."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import SystemClock
from deployments.errors import NotFound
from deployments.local_platform.await_ready import wait_until
from deployments.local_platform.environment import environment
from deployments.local_platform.work_pool import WORK_POOL
from deployments.prefect_api import PrefectApi
from deployments.web_login.password import USER
from flows.entrypoints.runner.prefork_client import socket_of
from tests.advice import followed
from tests.prefect_server import Prefect

LIMIT = timedelta(minutes=3)


def test_a_worker_starts_whatever_another_left_in_the_temporary_folder(prefect: Prefect, tmp_path: Path) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    (everybodys / "runner_storage").touch()  # where Prefect would have a folder
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    known |= environment(prefect.settings, prefect.addresses) | {"TMPDIR": str(everybodys)}
    told = tmp_path / "log"

    def workers() -> list[str]:
        with prefect.client() as api:
            found = api.post(f"/work_pools/{WORK_POOL}/workers/filter", json={}).raise_for_status().json()
        return [each["name"] for each in found if each["name"].startswith("ProcessWorker")]

    before = workers()
    command = [sys.executable, "-m", "flows.entrypoints.runner.prefect_worker", WORK_POOL]
    (prefect.settings.run_folder / "tmp").symlink_to(everybodys)
    refused = subprocess.run(command, env=known, capture_output=True, text=True, timeout=250, cwd=tmp_path, check=False)
    assert refused.returncode != 0
    assert followed("remove what stands there", "flows/entrypoints/runner/prefect_worker.py") in refused.stderr
    (prefect.settings.run_folder / "tmp").unlink()
    with told.open("wb") as log, subprocess.Popen(command, env=known, stdout=log, stderr=log, cwd=tmp_path) as worker:
        try:
            wait_until(lambda: worker.poll() is not None or workers() != before, "worker", LIMIT, SystemClock())
            assert worker.poll() is None, told.read_text()
        finally:
            worker.kill()  # it has no run; one that is still starting does not hear that it shall end
    assert list(everybodys.iterdir()) == [everybodys / "runner_storage"]


# What runs in the fork is the command line's `run` no more, but asks Prefect as a flow does; all else is the real one.
WARM = """
import asyncio, json, os, sys
from importlib import import_module
from pathlib import Path
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.environment import environment_with_password
from deployments.settings import current
from flows.entrypoints.cli import main as cli
from flows.entrypoints.runner import prefork

def asks():
    os.environ.update(environment_with_password(current(), Addresses("127.0.0.1", prefect=int(sys.argv[1]))))
    from prefect import get_client

    async def name():
        async with get_client() as client:
            return (await client.read_work_pool("seatrial")).name
    print(asyncio.run(name()), flush=True)
    return 7

cli.run = asks
prefork._import_everything = lambda: import_module("prefect.client.orchestration")
prefork.main("flows.entrypoints.cli.main:run")
"""
CALLER = """
import sys
from deployments.settings import current
from flows.entrypoints.runner.prefork_client import run_preforked
sys.exit(run_preforked(current(), sys.argv[1:]))
"""


def test_a_command_through_the_warm_process_is_let_in(prefect: Prefect) -> None:
    """Prefect reads its settings while it is imported, long before the command's fork knows of the platform."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"SEATRIAL_HOME": str(prefect.settings.home), "SEATRIAL_PROJECT": str(prefect.settings.project)}
    known = variables | environment(prefect.settings, prefect.addresses)
    place = socket_of(prefect.settings)
    with subprocess.Popen([sys.executable, "-c", WARM], env=known) as warm:
        try:
            wait_until(place.is_socket, "warm", LIMIT, SystemClock())
            told = subprocess.run(
                [sys.executable, "-c", CALLER, str(prefect.addresses.prefect)],
                env=variables,
                capture_output=True,
                text=True,
                timeout=250,
                check=False,
            )
        finally:
            warm.terminate()
    assert (told.returncode, told.stdout) == (7, "seatrial\n"), told.stderr


# A canary over a platform in memory, carried by Prefect's real engine; while it is watched somebody deletes its runs.
DELETED_UNDER_WAY = """
import tempfile
from contextlib import suppress
from pathlib import Path
from deployments import wiring
from deployments.rollout.state import Phase
from deployments.spec import Strategy
from flows.parameters import RolloutRequest
from flows.rollout import _or_put_back, rollout
from flows.submission import run_here
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from tasks.rollout_engine.takeover import begin
from tasks.rollout_engine.local_rollouts import remember_state
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

world = World(Path(tempfile.mkdtemp()))
world.run(world.wish(1))
wiring.doors, wiring.journal = (lambda *_: world.doors), (lambda: world.journal)
wiring.registry = lambda: world.registry
state = begin(world.wish(2, Strategy.CANARY), world.doors)
traffic, deleted, request = world.clock.passing, [], RolloutRequest(product=PRODUCT, rollout_id=state.rollout_id)
remember_state(state)

def delete_runs():
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs():
            deleted.append(run.id)
            with suppress(ObjectNotFound):
                client.delete_flow_run(run.id)

def passing(duration):
    traffic(duration)
    if world.journal.rollout(PRODUCT, state.rollout_id).phase is Phase.OBSERVING and not deleted:
        delete_runs()

world.clock.passing = passing

@flow
def outer(before):
    if before:
        delete_runs()
    return _or_put_back(PRODUCT, state.rollout_id, lambda: rollout(request))

try:
    run_here(lambda _: {CALL}, request)
except Exception as error:
    print(type(error).__name__, error)
now = world.journal.rollout(PRODUCT, state.rollout_id)
print(len(deleted) > 0, now.phase.value, dict(world.served_by), now.reason)
"""


@pytest.mark.parametrize("call", ["outer(False)", "outer(True)", "rollout(request)"])
def test_deleting_its_runs_on_prefects_page_ends_no_healthy_canary(prefect: Prefect, call: str) -> None:
    told = prefect.told(DELETED_UNDER_WAY.replace("{CALL}", call))
    assert told.splitlines()[-1].startswith("True done {2: 100}"), told


def test_a_webhooks_run_is_one_for_its_key_and_is_given_on_if_its_worker_is_gone(prefect: Prefect) -> None:
    with prefect.client() as client, PrefectApi(f"{prefect.url}/api", (USER, prefect.password)) as api:
        flow = client.post("/flows/", json={"name": "retry"}).raise_for_status().json()["id"]
        made = {"name": "retry", "flow_id": flow, "parameter_openapi_schema": {}, "work_pool_name": WORK_POOL}
        client.post("/deployments/", json=made).raise_for_status()
        request = {"request": {"product": "shop", "version": 3}}
        runs = {api.start_run("retry/retry", request, "webhook-1", ["webhook"]).id for _ in range(3)}
        (run,) = map(str, runs)
        assert run not in api.pending("webhook")
        taken = {"state": {"type": "PENDING", "name": "Pending"}}
        client.post(f"/flow_runs/{run}/set_state", json=taken).raise_for_status()
        assert run in api.pending("webhook")
        assert run not in api.pending("other")
        assert timedelta(0) <= SystemClock().now() - api.pending("webhook")[run] < LIMIT
        api.schedule_again(run)
        found = client.get(f"/flow_runs/{run}").raise_for_status().json()
        assert (found["state"]["type"], found["parameters"]) == ("SCHEDULED", request)
        with pytest.raises(NotFound, match="'release/nope'"):
            api.start_run("release/nope", request, "webhook-2")
