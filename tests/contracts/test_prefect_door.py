"""Prefect's real server behind the door: who is let in, what a run may bring with it, and what the pool becomes.

It is started once, and nothing of the platform beside it.
"""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets

from deployments.clock import SystemClock
from deployments.key_files import known_key
from deployments.local_platform.work_pool import TEMPLATE, WORK_POOL, ensure_work_pool
from deployments.web_login.login_link import passes_of
from deployments.web_login.password import credentials
from tests.prefect_server import Prefect

EVIL = {"origin": "http://evil.example"}


@pytest.fixture(scope="module")
def deployment(prefect: Prefect) -> str:
    """The id of a deployment in the pool, as an older platform or a project's prefect.yaml makes it."""
    with prefect.client() as api:
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
def test_nobody_reads_or_changes_anything_without_the_password(prefect: Prefect, method: str, path: str) -> None:
    assert httpx.request(method, f"{prefect.url}{path}", timeout=60, trust_env=False).status_code == 401


def test_no_page_of_another_origin_gets_a_run_started_nor_a_word_to_read(prefect: Prefect, deployment: str) -> None:
    run = f"/deployments/{deployment}/create_flow_run"
    with prefect.client() as api:
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


def test_a_browser_with_a_session_asks_as_one_that_knows_the_password(prefect: Prefect) -> None:
    ours = {"origin": prefect.url}
    ticket = passes_of(prefect.settings.keys_folder, "prefect").ticket(SystemClock().now())
    with httpx.Client(base_url=prefect.url, timeout=60, trust_env=False) as browser:
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
def test_a_session_that_another_account_got_hold_of_is_worth_nothing_to_it(prefect: Prefect) -> None:
    """A browser sends it to every port of the host, and so to a page that another account serves on this machine."""
    ours = {"origin": prefect.url}
    ticket = passes_of(prefect.settings.keys_folder, "prefect").ticket(SystemClock().now())
    with httpx.Client(base_url=prefect.url, timeout=60, trust_env=False) as browser:
        browser.post("/seatrial/login", json={"ticket": ticket}, headers=ours).raise_for_status()
        [(name, session)] = browser.cookies.items()
        command = [sys.executable, "-I", "-c", THIEF, prefect.url, f"{name}={session}"]
        told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert told.stdout.split() == ["401", "401"]
        assert browser.post("/api/flow_runs/count", json={}, headers=ours).status_code == 200


HOSTILE: dict[str, Any] = {
    "command": "sh -c id", "env": {"LD_PRELOAD": "/evil.so"}, "env.LD_PRELOAD": "/evil.so", "working_dir": "/",
    "name": "evil", "labels": {"a": "b"}, "stream_output": "{{ prefect.variables.x }}",
}  # fmt: skip


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_run_says_nothing_of_what_is_started(prefect: Prefect, deployment: str, name: str) -> None:
    with prefect.client() as api:
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


def test_the_pool_of_an_older_platform_is_put_right(prefect: Prefect) -> None:
    old = {
        "job_configuration": {"command": "{{ command }}"},
        "variables": {"properties": {"command": {"type": "string"}}},
    }
    with prefect.client() as api:
        api.patch(f"/work_pools/{WORK_POOL}", json={"base_job_template": old}).raise_for_status()
        ensure_work_pool(prefect.settings, f"{prefect.url}/api")
        ensure_work_pool(prefect.settings, f"{prefect.url}/api")
        assert api.get(f"/work_pools/{WORK_POOL}").json()["base_job_template"] == TEMPLATE


def test_a_process_of_ours_shows_the_password_by_itself(prefect: Prefect) -> None:
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
    assert prefect.told(code) == "seatrial"


async def _hears(url: str, token: str | None, **options: Any) -> str:
    try:
        async with websockets.connect(url, subprotocols=[websockets.Subprotocol("prefect")], **options) as opened:
            await opened.send(json.dumps({"type": "auth", "token": token}))
            return str(json.loads(await asyncio.wait_for(opened.recv(), 30))["type"])
    except (websockets.WebSocketException, OSError) as error:
        return type(error).__name__


@pytest.mark.parametrize("path", ["/api/events/in", "/api/events/out", "/api/logs/out"])
def test_a_socket_is_for_whoever_knows_the_password_and_is_no_other_page(prefect: Prefect, path: str) -> None:
    url = f"ws://{prefect.url.removeprefix('http://')}{path}"
    known = credentials(prefect.password)
    assert asyncio.run(_hears(url, known)) == "auth_success"
    assert asyncio.run(_hears(url, known, origin=prefect.url)) == "auth_success"
    for token, options in ((None, {}), ("seatrial:wrong", {}), (known, {"origin": "http://evil.example"})):
        assert asyncio.run(_hears(url, token, **options)) in {"InvalidStatus", "ConnectionClosedError"}


def test_the_password_is_in_nothing_that_is_kept_or_shown(prefect: Prefect) -> None:
    secrets = [known_key(prefect.settings.keys_folder, name) for name in ("prefect", "pages")]
    told = " ".join(prefect.program.command) + json.dumps(dict(prefect.program.environment))
    with prefect.client() as api:
        told += api.get("/admin/settings").text + api.get(f"/work_pools/{WORK_POOL}").text
    assert not [secret for secret in secrets if secret.decode() in told]
    files = [path for path in prefect.settings.home.parent.rglob("*") if path.is_file() and path.parent.name != "keys"]
    assert files
    assert not [path for path in files for secret in secrets if secret in path.read_bytes()]
    modes = {path.stat().st_mode & 0o777 for path in prefect.settings.keys_folder.iterdir()}
    assert modes == {0o600}


def test_runs_heartbeats_and_a_page_at_once_never_meet_a_locked_database(prefect: Prefect, deployment: str) -> None:
    """Each of these reads before it writes; Prefect's answer where the database is locked is 503."""

    def one(number: int) -> set[int]:
        with prefect.client() as api:
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
