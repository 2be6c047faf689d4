"""The API over a platform in memory: looking, ordering, pages, requests that are sent again."""

from datetime import timedelta
from pathlib import Path

import pytest

from deployments.access_control.roles import Role
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from flows.entrypoints.control_service.api.operations import ROOT, VERBS
from tests.unit.flows.api_scene import ApiScene, api_over
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


@pytest.fixture
def service(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> ApiScene:
    return api_over(world, tmp_path, monkeypatch)


def test_products_are_told_as_they_are(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    (one,) = service.get("/products").json()["items"]
    assert (one["product"], one["champion"], one["challenger"]) == (PRODUCT, 1, 2)
    assert one["shares"] == {"1": 90, "2": 10}
    assert one["health"] == "under way"
    assert one["description"] == "how many <b>bikes</b>"
    assert service.get(f"/products/{PRODUCT}").json() == one
    assert service.get("/rollouts").json()["items"][0]["candidate"] == 2


def test_a_rollout_is_told_with_its_plan_and_what_was_counted(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    told = service.get(f"/products/{PRODUCT}/rollouts/current").json()
    assert told["rollout"] == state.rollout_id
    assert [step["state"] for step in told["plan"]].count("now") == 1
    assert told["sentence"].startswith("waits for")
    assert service.get(f"/products/{PRODUCT}/rollouts/{state.rollout_id}").json()["rollout"] == state.rollout_id
    assert service.get(f"/products/{PRODUCT}/rollouts/nope").status_code == 404
    assert set(told["progress"]["total"]["candidate"]) == {"requests", "errors", "p50_ms", "p95_ms"}


@pytest.mark.parametrize("verb", VERBS)
def test_an_order_is_written_down_in_the_name_of_its_token(service: ApiScene, verb: Verb) -> None:
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


def test_an_operator_approves_nothing(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    token = service.token(Role.OPERATOR, PRODUCT)
    assert service.post(f"/products/{PRODUCT}/orders/promote", token=token).status_code == 403
    assert service.post(f"/products/{PRODUCT}/orders/pause", token=token).status_code == 202


def test_of_opposite_orders_the_later_one_is_told_what_the_first_did(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    assert service.post(f"/products/{PRODUCT}/orders/abort").status_code == 202
    late = service.post(f"/products/{PRODUCT}/orders/promote")
    assert late.status_code == 409
    assert "cannot promote now" in late.json()["detail"]


@pytest.mark.parametrize("name", ["release", "retry", "rollback"])
def test_a_run_is_started_by_the_name_of_the_spec_and_once_for_a_key(service: ApiScene, name: str) -> None:
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


def test_without_a_key_each_request_is_a_run(service: ApiScene) -> None:
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
def test_a_body_that_means_nothing_is_refused_and_orders_nothing(service: ApiScene, body: bytes, status: int) -> None:
    state = until(service.world, Phase.OBSERVING)
    headers = {"content-type": "application/json"}
    path = f"{ROOT}/products/{PRODUCT}/orders/pause"
    answer = service.ask(path, "POST", service.machine_token, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert service.world.journal.orders(state.rollout_id) == ()


def test_pages_are_whole_whatever_comes_meanwhile(service: ApiScene) -> None:
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
def test_what_is_no_page_is_refused(service: ApiScene, query: str) -> None:
    answer = service.get(f"/products?{query}")
    assert answer.status_code == 400


def test_what_has_not_changed_is_not_sent_again(service: ApiScene) -> None:
    first = service.get("/products")
    again = service.get("/products", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    until(service.world, Phase.OBSERVING)
    service.world.clock.sleep(timedelta(seconds=1))  # what many watchers ask for is found once a second
    assert service.get("/products", headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_a_caller_sees_the_products_of_its_token(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    token = service.token(Role.VIEWER, "flights")
    assert service.get("/products", token).json() == {"items": []}
    assert service.get("/rollouts", token).json() == {"items": []}
    assert service.get(f"/products/{PRODUCT}", token).status_code == 404
