"""Prefect's real server behind the door: who is let in, what a run may bring with it, and what the pool becomes.

It is started once, and nothing of the platform beside it.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets

from deployments.clock import SystemClock
from deployments.key_files import known_key
from deployments.local_platform.addresses import Addresses
from deployments.local_platform.await_ready import answers, wait_until
from deployments.local_platform.environment import environment
from deployments.local_platform.services import prefect_server
from deployments.local_platform.work_pool import TEMPLATE, WORK_POOL, ensure_work_pool
from deployments.settings import Settings
from deployments.supervision import Program
from deployments.web_login.login_link import passes_of
from deployments.web_login.password import USER, credentials
from flows.entrypoints.runner.prefork_client import socket_of
from tests.advice import followed

LIMIT = timedelta(minutes=3)
EVIL = {"origin": "http://evil.example"}


class Server:
    """Prefect as `seatrial up` starts it."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        self.settings = Settings(home=folder / "home", project=folder)
        self.addresses = Addresses("127.0.0.1", prefect=port)
        self.url = f"http://127.0.0.1:{port}"
        self.program: Program = prefect_server(self.settings, self.addresses)

    @property
    def password(self) -> str:
        return known_key(self.settings.keys_folder, "prefect").decode()

    def client(self, **more: Any) -> httpx.Client:
        """Whoever knows the password."""
        return httpx.Client(base_url=f"{self.url}/api", auth=(USER, self.password), timeout=60, trust_env=False, **more)

    def told(self, code: str) -> str:
        """What a Python process of ours says that has the environment of this platform's."""
        variables = environment(self.settings, self.addresses) | {
            "PREFECT_API_AUTH_STRING": credentials(self.password),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prefect")
    made = Server(folder)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            made.program.command, env=own | dict(made.program.environment), stdout=log, stderr=log, cwd=folder
        )
    try:
        wait_until(lambda: answers(f"{made.url}/api/health"), "prefect-server", LIMIT, SystemClock())
        ensure_work_pool(made.settings, f"{made.url}/api")
        yield made
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def deployment(server: Server) -> str:
    """The id of a deployment in the pool, as an older platform or a project's prefect.yaml makes it."""
    with server.client() as api:
        flow = api.post("/flows/", json={"name": "release"}).raise_for_status().json()["id"]
        wanted = {
            "name": "release", "flow_id": flow, "work_pool_name": WORK_POOL, "work_queue_name": "default",
            "entrypoint": "flows.release.release", "job_variables": {"stream_output": False},
        }  # fmt: skip
        made: str = api.post("/deployments/", json=wanted).raise_for_status().json()["id"]
        return made


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/deployments/filter"), ("POST", "/api/flow_runs/filter"), ("POST", "/api/logs/filter"),
        ("GET", "/api/admin/settings"), ("GET", "/api/work_pools/seatrial"), ("POST", "/api/work_pools/"),
        ("POST", "/api/events"), ("GET", "/api/openapi.json"), ("GET", "/docs"), ("GET", "/ui-settings"), ("GET", "/"),
    ],
)  # fmt: skip
def test_nobody_reads_or_changes_anything_without_the_password(server: Server, method: str, path: str) -> None:
    assert httpx.request(method, f"{server.url}{path}", timeout=60, trust_env=False).status_code == 401


def test_no_page_of_another_origin_gets_a_run_started_nor_a_word_to_read(server: Server, deployment: str) -> None:
    run = f"/deployments/{deployment}/create_flow_run"
    with server.client() as api:
        before = api.post("/flow_runs/count", json={}).json()
        for headers in (EVIL, {"origin": "null"}, {"host": "evil.example:4200"}, {"sec-fetch-site": "cross-site"}):
            for answer in (api.post(run, json={}, headers=headers), api.post("/logs/filter", json={}, headers=headers)):
                assert answer.status_code == 403
                assert not any(name.startswith("access-control") for name in answer.headers)
        asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        preflight = api.options(run, headers=EVIL | asked)
        assert preflight.status_code == 403
        assert not any(name.startswith("access-control") for name in preflight.headers)
        assert api.post("/flow_runs/count", json={}).json() == before


def test_a_browser_with_a_session_asks_as_one_that_knows_the_password(server: Server) -> None:
    ours = {"origin": server.url}
    ticket = passes_of(server.settings.keys_folder, "prefect").ticket(SystemClock().now())
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as browser:
        assert browser.post("/seatrial/login", json={"ticket": ticket}, headers=ours).status_code == 204
        assert browser.post("/api/flow_runs/count", json={}, headers=ours).status_code == 200
        assert browser.get("/ui-settings").json()["api_url"] == "/api"
        assert "<html" in browser.get("/dashboard", headers={"accept": "text/html"}).text


# As another account: asks with the session that it is told, as a page that is our own would. What it needs is imported
# before: the other account may not read this Python's files.
THIEF = """
import encodings.idna, http.client, os, sys, urllib.error, urllib.request
os.setuid(65534)
url, cookie = sys.argv[1:]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for data in (None, b"{}"):
    path = "/ui-settings" if data is None else "/api/flow_runs/count"
    headers = {"cookie": cookie, "origin": url, "content-type": "application/json"}
    try:
        print(opener.open(urllib.request.Request(url + path, data, headers)).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")
def test_a_session_that_another_account_got_hold_of_is_worth_nothing_to_it(server: Server) -> None:
    """A browser sends it to every port of the host, and so to a page that another account serves on this machine."""
    ours = {"origin": server.url}
    ticket = passes_of(server.settings.keys_folder, "prefect").ticket(SystemClock().now())
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as browser:
        browser.post("/seatrial/login", json={"ticket": ticket}, headers=ours).raise_for_status()
        [(name, session)] = browser.cookies.items()
        command = [sys.executable, "-I", "-c", THIEF, server.url, f"{name}={session}"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert told.stdout.split() == ["401", "401"]
        assert browser.post("/api/flow_runs/count", json={}, headers=ours).status_code == 200


HOSTILE: dict[str, Any] = {
    "command": "sh -c id", "env": {"LD_PRELOAD": "/evil.so"}, "env.LD_PRELOAD": "/evil.so", "working_dir": "/",
    "name": "evil", "labels": {"a": "b"}, "stream_output": "{{ prefect.variables.x }}",
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_run_says_nothing_of_what_is_started(server: Server, deployment: str, name: str) -> None:
    with server.client() as api:
        refused = api.post(f"/deployments/{deployment}/create_flow_run", json={"job_variables": {name: HOSTILE[name]}})
        assert refused.status_code == 422, refused.text


def test_the_template_takes_nothing_from_what_was_stored_before_it() -> None:
    """Runs and deployments of an older platform, whose values nobody checks any more."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.workers.process import ProcessJobConfiguration

    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), name="brave-otter")

    def made(given: dict[str, Any]) -> dict[str, Any]:
        unasked: Any = object()
        found = asyncio.run(ProcessJobConfiguration.from_template_and_values(TEMPLATE, given, client=unasked))
        found.prepare_for_flow_run(flow_run)
        return found.model_dump(mode="json")

    assert made({name: value for name, value in HOSTILE.items() if name != "stream_output"}) == made({})


def test_the_pool_of_an_older_platform_is_put_right(server: Server) -> None:
    old = {
        "job_configuration": {"command": "{{ command }}"},
        "variables": {"properties": {"command": {"type": "string"}}},
    }
    with server.client() as api:
        api.patch(f"/work_pools/{WORK_POOL}", json={"base_job_template": old}).raise_for_status()
        ensure_work_pool(server.settings, f"{server.url}/api")
        ensure_work_pool(server.settings, f"{server.url}/api")
        assert api.get(f"/work_pools/{WORK_POOL}").json()["base_job_template"] == TEMPLATE


def test_a_process_of_ours_shows_the_password_by_itself(server: Server) -> None:
    code = """
import asyncio
from prefect import get_client
from prefect.events.clients import PrefectEventsClient
from prefect.events import Event
async def main():
    async with get_client() as client:
        pool = await client.read_work_pool("seatrial")
    async with PrefectEventsClient() as events:
        await events.emit(Event(event="x", resource={"prefect.resource.id": "y"}))
    return pool.name
print(asyncio.run(main()))
"""
    assert server.told(code) == "seatrial"


async def _hears(url: str, token: str | None, **options: Any) -> str:
    try:
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("prefect")], **options) as opened:
            await opened.send(json.dumps({"type": "auth", "token": token}))
            return str(json.loads(await asyncio.wait_for(opened.recv(), 30))["type"])
    except (websockets.WebSocketException, OSError) as error:
        return type(error).__name__


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
def test_a_socket_is_for_whoever_knows_the_password_and_is_no_other_page(server: Server, path: str) -> None:
    url = f"ws://{server.url.removeprefix('http://')}{path}"
    known = credentials(server.password)
    assert asyncio.run(_hears(url, known)) == "auth_success"
    assert asyncio.run(_hears(url, known, origin=server.url)) == "auth_success"
    for token, options in ((None, {}), ("seatrial:wrong", {}), (known, {"origin": "http://evil.example"})):
        assert asyncio.run(_hears(url, token, **options)) in {"InvalidStatus", "ConnectionClosedError"}


def test_the_password_is_in_nothing_that_is_kept_or_shown(server: Server) -> None:
    secrets = [known_key(server.settings.keys_folder, name) for name in ("prefect", "pages")]
    told = " ".join(server.program.command) + json.dumps(dict(server.program.environment))
    with server.client() as api:
        told += api.get("/admin/settings").text + api.get(f"/work_pools/{WORK_POOL}").text
    assert not [secret for secret in secrets if secret.decode() in told]
    files = [path for path in server.settings.home.parent.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert files
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]
    modes = {path.stat().st_mode & 0o777 for path in server.settings.keys_folder.iterdir()}
    assert modes == {0o600}


def test_runs_heartbeats_and_a_page_at_once_never_meet_a_locked_database(server: Server, deployment: str) -> None:
    """Each of these reads before it writes; Prefect's answer where the database is locked is 503."""

    def one(number: int) -> set[int]:
        with server.client() as api:
            return {
                api.post(
                    f"/work_pools/{WORK_POOL}/workers/heartbeat", json={"name": f"worker {number % 3}"}
                ).status_code,
                api.post(f"/deployments/{deployment}/create_flow_run", json={}).status_code,
                api.post("/flow_runs/filter", json={"limit": 50}).status_code,
                api.patch(f"/deployments/{deployment}", json={"description": f"as of {number}"}).status_code,
            }

    with ThreadPoolExecutor(8) as several:
        answers_given = set().union(*several.map(one, range(24)))
    assert answers_given == {200, 201, 204}


def test_a_worker_starts_whatever_another_account_left_in_the_temporary_folder(server: Server, tmp_path: Path) -> None:
    everybodys = tmp_path / "everybodys"
    everybodys.mkdir()
    (everybodys / "runner_storage").touch()  # where Prefect would have a folder
    known = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    known |= environment(server.settings, server.addresses) | {"TMPDIR": str(everybodys)}
    told = tmp_path / "log"

    def workers() -> list[str]:
        with server.client() as api:
            found = api.post(f"/work_pools/{WORK_POOL}/workers/filter", json={}).raise_for_status().json()
        return [each["name"] for each in found if each["name"].startswith("ProcessWorker")]

    before = workers()
    command = [sys.executable, "-m", "flows.entrypoints.runner.prefect_worker", WORK_POOL]
    (server.settings.run_folder / "tmp").symlink_to(everybodys)
    refused = subprocess.run(command, env=known, capture_output=True, text=True, timeout=250, cwd=tmp_path, check=False)
    assert refused.returncode != 0
    assert followed("remove what stands there", "flows/entrypoints/runner/prefect_worker.py") in refused.stderr
    (server.settings.run_folder / "tmp").unlink()
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


def test_a_command_through_the_warm_process_is_let_in(server: Server) -> None:
    """Prefect reads its settings while it is imported, long before the command's fork knows of the platform."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    variables |= {"SEATRIAL_HOME": str(server.settings.home), "SEATRIAL_PROJECT": str(server.settings.project)}
    known = variables | environment(server.settings, server.addresses)
    place = socket_of(server.settings)
    with subprocess.Popen([sys.executable, "-c", WARM], env=known) as warm:
        try:
            wait_until(place.is_socket, "warm", LIMIT, SystemClock())
            told = subprocess.run(
                [sys.executable, "-c", CALLER, str(server.addresses.prefect)],
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
def test_deleting_its_runs_on_prefects_page_ends_no_healthy_canary(server: Server, call: str) -> None:
    told = server.told(DELETED_UNDER_WAY.replace("{CALL}", call))
    assert told.splitlines()[-1].startswith("True done {2: 100}"), told
