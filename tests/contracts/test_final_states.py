"""Prefect's real server is told how runs end: by name, of a type that it does not retry, with no stack trace."""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import prefect.flow_engine
import pytest
import yaml
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    temporary_settings,
)

from deployments.errors import BadSpec, GateRefused, NotFound, RolloutAborted, RolloutFailed, RouterUnreachable
from deployments.event_delivery.catalogue import occurrences
from deployments.event_delivery.outbox import Delivery, State
from deployments.event_delivery.prefect_events import PrefectReceiver
from deployments.event_delivery.sender import Arrived
from deployments.journals.protocol import Event, Recorded
from deployments.prefect_api import PrefectApi
from deployments.rollout.operator_commands import Verb
from deployments.web_login.password import USER, credentials
from flows import release, retry, rollback, rollout, steer
from flows.parameters import ReleaseRequest, RetryRequest, RollbackRequest, RolloutRequest, SteerRequest
from tasks.final_states import named_end, task
from tests.prefect_server import Prefect

AUTOMATIONS = Path(__file__).parents[2] / "infra" / "automations"
_PATIENCE = 60.0


@pytest.fixture
def client(prefect: Prefect) -> Iterator[httpx.Client]:
    with prefect.client() as client:
        yield client


@pytest.fixture
def in_process(prefect: Prefect, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Flows of this process are runs of that server."""
    monkeypatch.setattr(prefect_engine(), "heartbeat_seconds", property(lambda _: None))
    settings = {
        PREFECT_API_URL: f"{prefect.url}/api",
        PREFECT_API_AUTH_STRING: credentials(prefect.password),
        PREFECT_LOGGING_TO_API_ENABLED: False,
    }
    with temporary_settings(settings):
        yield


def prefect_engine() -> Any:
    return prefect.flow_engine.BaseFlowRunEngine


def state_of(client: httpx.Client, run: str) -> tuple[str, str, str]:
    state = client.get(f"/flow_runs/{run}").json()["state"]
    return state["type"], state["name"], state["message"]


ERRORS = [
    (GateRefused("flights: not good enough\n  roc_auc 0.5"), "Refused"),
    (BadSpec("a field is missing"), "Refused"),
    (RolloutFailed("v2 was not rolled out: errors: 9 of 10"), "RolledBack"),
    (RolloutAborted("v2 was not rolled out: abort by ann"), "Aborted"),
]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("error", "name"), ERRORS, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_whoever_calls_gets_the_error_and_run_subflow_and_task_end_by_its_name_once(
    error: Exception, name: str, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[str] = []

    @task(name="refusing", retries=2)
    def refusing() -> None:
        tried.append("the task")
        raise error

    @flow(name="inner", retries=1)
    @named_end
    def inner() -> None:
        tried.append(str(flow_run.id))
        refusing()

    @flow(name="outer", retries=2)
    @named_end
    def outer() -> None:
        tried.append(str(flow_run.id))
        inner()

    with pytest.raises(type(error)) as raised, caplog.at_level(logging.DEBUG):
        outer()
    assert raised.value is error
    run, subflow, _ = tried
    assert state_of(client, run) == ("CANCELLED", name, str(error))
    assert state_of(client, subflow) == ("CANCELLED", name, str(error))
    asked = {"flow_runs": {"id": {"any_": [subflow]}}}
    until(lambda: [each["state_name"] for each in client.post("/task_runs/filter", json=asked).json()] == [name])
    assert not [each for each in caplog.records if each.exc_info and each.levelno > logging.DEBUG]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("error", [RuntimeError("a defect"), RouterUnreachable("the gateway is away")])
def test_a_defect_has_its_trace_and_what_is_away_is_tried_again(
    error: Exception, client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[str] = []

    @flow(name="breaks", retries=1)
    @named_end
    def breaks() -> None:
        runs.append(str(flow_run.id))
        raise error

    with pytest.raises(type(error)):
        breaks()
    assert len(runs) == 2
    assert state_of(client, runs[0])[:2] == ("FAILED", "Failed")
    traces = [each for each in caplog.records if each.exc_info]
    assert bool(traces) is isinstance(error, RuntimeError)


FLOWS: list[tuple[Any, Any, Any]] = [
    (release, ReleaseRequest(product="nothing"), "open_run"),
    (retry, RetryRequest(product="nothing"), "open_run"),
    (rollback, RollbackRequest(product="nothing"), "open_run"),
    (rollout, RolloutRequest(product="nothing", rollout_id="none"), "_or_put_back"),
    (steer, SteerRequest(product="nothing", verb=Verb.PAUSE), "give_order"),
]


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(("module", "request_", "fails_in"), FLOWS, ids=lambda each: getattr(each, "__name__", ""))
def test_every_flow_ends_by_name(
    module: Any, request_: Any, fails_in: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> Any:
        seen.append(str(flow_run.id))
        raise NotFound("there is no such product")

    seen: list[str] = []
    monkeypatch.setattr(module, fails_in, refused)
    with pytest.raises(NotFound):
        getattr(module, module.__name__.rpartition(".")[2])(request_)
    assert state_of(client, seen[0]) == ("CANCELLED", "Refused", "there is no such product")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.3)


@pytest.fixture
def deployed(client: httpx.Client) -> Iterator[dict[str, Any]]:
    """Every automation of infra/, each by its file's name; they need a block for what they tell."""
    kind = client.get("/block_types/slug/custom-webhook").raise_for_status().json()["id"]
    schemas = client.post("/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [kind]}}}).json()
    document = {
        "name": "somebody", "block_type_id": kind, "block_schema_id": schemas[0]["id"],
        "data": {"name": "somebody", "url": "https://chat.example/hook"},
    }  # fmt: skip
    block = client.post("/block_documents/", json=document).raise_for_status().json()["id"]
    made = {}
    for file in sorted(AUTOMATIONS.glob("*.yaml")):
        text = file.read_text().replace(str(UUID(int=0)), block)
        made[file.stem] = client.post("/automations/", json=yaml.safe_load(text)).raise_for_status().json()
    yield made
    for each in made.values():
        client.delete(f"/automations/{each['id']}")
    client.delete(f"/block_documents/{block}")


def test_the_automations_are_taken_and_three_refusals_pause_a_product(
    deployed: dict[str, Any], client: httpx.Client
) -> None:
    assert set(deployed) == {"tell-of-refusals", "retry-crashed", "pause-after-refusals"}
    of = client.post("/flows/", json={"name": "release"}).json()["id"]
    tags = ["seatrial", "product:shop"]
    shop, bikes = (
        client.post("/deployments/", json={"name": name, "flow_id": of, "tags": tags}).raise_for_status().json()["id"]
        for name in ("shop-of-automations", "bikes-of-automations")
    )
    refused = {"state": {"type": "CANCELLED", "name": "Refused", "message": "not good enough"}, "force": True}
    for deployment in (shop, bikes, shop, bikes, shop):
        run = client.post(f"/deployments/{deployment}/create_flow_run", json={}).raise_for_status().json()["id"]
        client.post(f"/flow_runs/{run}/set_state", json=refused).raise_for_status()
    until(lambda: bool(client.get(f"/deployments/{shop}").json()["paused"]))
    assert not client.get(f"/deployments/{bikes}").json()["paused"]


# As a worker begins a run: its process, by the run's id.
WORKER = """
import sys, asyncio
from prefect import flow
from prefect.client.orchestration import get_client
from flows.release import release
with get_client(sync_client=True) as client:
    flow_id = client.create_flow(release)
    deployment = client.create_deployment(flow_id, "of-a-test", entrypoint="flows.release.release", path={path!r})
    run = client.create_flow_run_from_deployment(deployment, parameters={{"request": {{"product": "nothing"}}}})
    print(run.id)
"""


def test_a_run_of_a_worker_ends_by_name_and_its_process_is_content(prefect: Prefect, client: httpx.Client) -> None:
    root = str(Path(__file__).parents[2])
    run = prefect.told(WORKER.format(path=root)).split()[-1]
    said = prefect.told(
        "import subprocess, sys\n"
        f"done = subprocess.run([sys.executable, '-m', 'prefect.engine', {run!r}], capture_output=True, text=True)\n"
        "print(done.stdout, done.stderr)"
    )
    kind, name, message = state_of(client, run)
    assert (kind, name) == ("CANCELLED", "Refused")
    assert "nothing" in message
    assert "Traceback" not in said
    assert "unexpected" not in said


def test_an_automation_matches_what_happens_to_a_product(prefect: Prefect, client: httpx.Client) -> None:
    """The same as our CloudEvents, taken by the real server under the id that they have."""
    asked: dict[str, Any] = {
        "name": "seatrial: an order pauses nothing else",
        "trigger": {
            "type": "event", "posture": "Reactive", "expect": ["io.seatrial.order.*"], "threshold": 1, "within": 0,
            "match": {"prefect.resource.id": "seatrial.product.flights"},
        },
        "actions": [{"type": "pause-work-pool", "source": "selected", "work_pool_id": None}],
    }  # fmt: skip
    pool = {"name": "of-an-automation", "type": "process"}
    asked["actions"][0]["work_pool_id"] = client.post("/work_pools/", json=pool).raise_for_status().json()["id"]
    automation = client.post("/automations/", json=asked).raise_for_status().json()["id"]
    detail = {"verb": "pause", "who": "ann", "said": "lunch", "phase": "paused"}
    made = occurrences(Recorded("1", Event("flights", str(uuid4()), datetime.now(UTC), "order.pause", detail)), _first)
    with PrefectApi(f"{prefect.url}/api", (USER, prefect.password)) as api:
        receiver = PrefectReceiver(lambda: api)
        for each in (*made, *made):
            assert receiver.send(Delivery(1, "prefect", each, State.WAITING, each.at, 0, "")) == Arrived()
    until(lambda: bool(client.get("/work_pools/of-an-automation").json()["is_paused"]))
    wanted = {"filter": {"resource": {"id": ["seatrial.product.flights"]}, "order": "ASC"}}
    ids = sorted(each.id for each in made)
    until(lambda: sorted(each["id"] for each in client.post("/events/filter", json=wanted).json()["events"]) == ids)
    client.delete(f"/automations/{automation}")


def _first(_run: str, _phase: str) -> None:
    return None
