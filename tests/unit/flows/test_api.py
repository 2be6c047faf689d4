"""The API over a platform in memory: looking, ordering, pages, requests that are sent again."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from deployments import wiring
from deployments.access_control.roles import Role
from deployments.prefect_api import StartedRun
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.settings import Settings
from flows.entrypoints.control_service import api
from flows.entrypoints.control_service.access import Access
from flows.entrypoints.control_service.api.operations import OPERATIONS, ROOT, VERBS
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from tests.unit.flows.access_scene import Scene
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

RUN = UUID("11111111-1111-1111-1111-111111111111")


class Started:
    """Stands for Prefect: one run for each idempotency key, as Prefect has it."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[str, dict[str, Any], str]] = {}

    def __enter__(self) -> "Started":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start_run(self, deployment: str, parameters: Any, key: str, tags: Any = (), by: str = "") -> StartedRun:
        self.runs.setdefault(key, (deployment, parameters, by))
        return StartedRun(RUN, "quick-otter")


class Api(Scene):
    """The operations over the journal of `world`."""

    def __init__(self, folder: Path, world: World) -> None:
        super().__init__(folder)
        self.world, self.prefect = world, Started()
        specs = folder / "specs"
        specs.mkdir()
        (specs / "wheels.yaml").write_text(f"product: {PRODUCT}\ndescription: how many <b>bikes</b>\n")
        settings = Settings(home=folder, project=folder)
        context = Context(settings, world.clock, lambda: world.journal, lambda: self.prefect, self.identities, False)  # type: ignore[arg-type,return-value]
        self.evidence = EvidenceProcess(world.clock)
        access = Access(self.identities, self.access.names)
        self.app = make_app(api.routes(context, self.evidence), access)

    def get(self, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        return self.ask(f"{ROOT}{path}", token=token or self.machine_token, **more)

    def post(self, path: str, body: Any = None, key: str | None = None, token: str | None = None) -> httpx.Response:
        headers = {"idempotency-key": key} if key else {}
        return self.ask(f"{ROOT}{path}", "POST", token or self.machine_token, json=body, headers=headers)


@pytest.fixture
def service(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(wiring, "read_only_doors_of", lambda _: world.doors)
    folder = tmp_path / "api"
    folder.mkdir()
    made = Api(folder, world)
    with closing(made.evidence):
        yield made


def test_products_are_told_as_they_are(service: Api) -> None:
    until(service.world, Phase.OBSERVING)
    (one,) = service.get("/products").json()["items"]
    assert (one["product"], one["champion"], one["challenger"]) == (PRODUCT, 1, 2)
    assert one["shares"] == {"1": 90, "2": 10}
    assert one["health"] == "under way"
    assert one["description"] == "how many <b>bikes</b>"
    assert service.get(f"/products/{PRODUCT}").json() == one
    assert service.get("/rollouts").json()["items"][0]["candidate"] == 2


def test_a_rollout_is_told_with_its_plan_and_what_was_counted(service: Api) -> None:
    state = until(service.world, Phase.OBSERVING)
    told = service.get(f"/products/{PRODUCT}/rollouts/current").json()
    assert told["rollout"] == state.rollout_id
    assert [step["state"] for step in told["plan"]].count("now") == 1
    assert told["sentence"].startswith("waits for")
    assert service.get(f"/products/{PRODUCT}/rollouts/{state.rollout_id}").json()["rollout"] == state.rollout_id
    assert service.get(f"/products/{PRODUCT}/rollouts/nope").status_code == 404
    assert set(told["progress"]["total"]["candidate"]) == {"requests", "errors", "p50_ms", "p95_ms"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_order_is_written_down_in_the_name_of_its_token(service: Api, verb: Verb) -> None:
    state = until(service.world, Phase.OBSERVING)
    if verb in {Verb.RESUME, Verb.APPROVE}:  # mean nothing now
        answer = service.post(f"/products/{PRODUCT}/orders/{verb}", {"reason": "seen"})
        assert answer.status_code == 409
        assert f"cannot {verb} now" in answer.json()["detail"]
        return
    token = service.token(Role.APPROVER, PRODUCT)
    answer = service.post(f"/products/{PRODUCT}/orders/{verb}", {"reason": "seen"}, token=token)
    assert answer.status_code == 202, answer.text
    (order,) = service.world.journal.orders(state.rollout_id)
    assert (order.verb, order.reason, order.who) == (verb, "seen", "approver-0 (token)")


def test_an_operator_approves_nothing(service: Api) -> None:
    until(service.world, Phase.OBSERVING)
    token = service.token(Role.OPERATOR, PRODUCT)
    assert service.post(f"/products/{PRODUCT}/orders/promote", token=token).status_code == 403
    assert service.post(f"/products/{PRODUCT}/orders/pause", token=token).status_code == 202


def test_of_opposite_orders_the_later_one_is_told_what_the_first_did(service: Api) -> None:
    until(service.world, Phase.OBSERVING)
    assert service.post(f"/products/{PRODUCT}/orders/abort").status_code == 202
    late = service.post(f"/products/{PRODUCT}/orders/promote")
    assert late.status_code == 409
    assert "cannot promote now" in late.json()["detail"]


@pytest.mark.parametrize("name", ["release", "retry", "rollback"])
def test_a_run_is_started_by_the_name_of_the_spec_and_once_for_a_key(service: Api, name: str) -> None:
    path = {"release": "releases", "retry": "retries", "rollback": "rollbacks"}[name]
    body = {} if name == "release" else {"version": 3}
    first = service.post(f"/products/{PRODUCT}/{path}", body, "k1")
    again = service.post(f"/products/{PRODUCT}/{path}", body, "k1")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert (
        service.post(f"/products/{PRODUCT}/{path}", {"version": 4} if body else {"replicas": 2}, "k1").status_code
        == 422
    )
    ((deployment, parameters, by),) = service.prefect.runs.values()
    assert deployment == (f"release/{PRODUCT}" if name == "release" else f"{name}/{name}")
    assert parameters == {"request": {"product": "wheels", **body}}
    assert by.endswith("(command line)")


def test_without_a_key_each_request_is_a_run(service: Api) -> None:
    for _ in range(2):
        assert service.post(f"/products/{PRODUCT}/releases").status_code == 202
    assert len(service.prefect.runs) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"reason":1}', 422),
        (b'{"verb":"abort"}', 422),
        (b'{"reason":"a","reason":"b"}', 400),
        (b'{"reason":' + b"[" * 100 + b"]" * 100 + b"}", 400),
        (b'{"reason":"' + b"a" * 20_000 + b'"}', 413),
        (b"\xff", 400),
    ],
)
def test_a_body_that_means_nothing_is_refused_and_nothing_is_ordered(service: Api, body: bytes, status: int) -> None:
    state = until(service.world, Phase.OBSERVING)
    headers = {"content-type": "application/json"}
    path = f"{ROOT}/products/{PRODUCT}/orders/pause"
    answer = service.ask(path, "POST", service.machine_token, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.world.journal.orders(state.rollout_id) == ()


def test_pages_are_whole_whatever_comes_meanwhile(service: Api) -> None:
    until(service.world, Phase.OBSERVING)
    whole = service.get(f"/products/{PRODUCT}/history?limit=500").json()["items"]
    assert len(whole) > 4
    seen, cursor = [], ""
    while True:
        page = service.get(f"/products/{PRODUCT}/history?limit=2{cursor}").json()
        seen += page["items"]
        service.post(f"/products/{PRODUCT}/orders/pause")  # something happens
        if "next" not in page:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == whole


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "limit=-1", "cursor=%00", "cursor=bm9wZQ", "page=2"]
)
def test_what_is_no_page_is_refused(service: Api, query: str) -> None:
    answer = service.get(f"/products?{query}")
    assert answer.status_code == 400


def test_what_has_not_changed_is_not_sent_again(service: Api) -> None:
    first = service.get("/products")
    again = service.get("/products", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    until(service.world, Phase.OBSERVING)
    service.world.clock.sleep(timedelta(seconds=1))  # what many watchers ask for is found once a second
    assert service.get("/products", headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_a_caller_sees_the_products_of_its_token(service: Api) -> None:
    until(service.world, Phase.OBSERVING)
    token = service.token(Role.VIEWER, "flights")
    assert service.get("/products", token).json() == {"items": []}
    assert service.get("/rollouts", token).json() == {"items": []}
    assert service.get(f"/products/{PRODUCT}", token).status_code == 404


def test_the_evidence_is_weighed_by_a_process_of_its_own_that_rests_when_nobody_asks(
    service: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(
        service.evidence, "_ask", lambda _, product, rollout: asked.append((product, rollout)) or {"why": "x"}
    )
    state = until(service.world, Phase.OBSERVING)
    assert service.get(f"/products/{PRODUCT}/rollouts/current/evidence").json() == {"why": "x"}
    assert asked == [(PRODUCT, state.rollout_id)]


def test_every_operation_is_described(service: Api) -> None:
    described = json.loads(service.get("/openapi.json").content)
    assert described["openapi"].startswith("3.1")
    ids = [each["operationId"] for path in described["paths"].values() for each in path.values()]
    assert sorted(ids) == sorted(each.id for each in OPERATIONS)
