"""The API over a platform in memory: looking, ordering, pages, requests that are sent again."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.access_control.roles import Role
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from flows.entrypoints.control_service.api.operations import ROOT, VERBS
from tasks.rollout_engine.carrier import Carrier
from tests.advice import followed
from tests.unit.flows.api_scene import ApiScene, api_over, assert_problem
from tests.unit.flows.conftest import Seatrial, until
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
    assert by.endswith("(API)")


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


@pytest.mark.parametrize(
    "path",
    [
        "/products/..%2F..%2Fetc%2Fpasswd",
        "/products/%2e%2e/history",
        "/products/bikes%00/history",
        "/products/bikes%0d%0aset-cookie:a=b",
        "/products/BIKES",
        f"/products/{'a' * 41}/rollouts",
        "/products/bikes/rollouts/..%2f..%2fjournal.db",
        "/products/bikes/rollouts/%25s",
        "/products/'; drop table rollouts; --/history",
        "/products/nobody/history",
        "/products/nobody/rollouts/current",
        "/products/nobody/rollouts/current/evidence",
        "/products/nobody/plan",
        "/nothing",
        "/../../health2",
    ],
)
def test_what_there_is_not_is_a_problem_and_no_name_reaches_a_header(service: ApiScene, path: str) -> None:
    answer = service.get(path)
    assert_problem(answer, 404)
    assert "set-cookie" not in answer.headers
    assert set(answer.headers) == {"content-type", "content-length", "cache-control"}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_method_that_means_nothing_is_told_which_ones_do(service: ApiScene, method: str) -> None:
    answer = service.ask(f"{ROOT}/products/{PRODUCT}/orders/pause", method, service.machine_token)
    assert_problem(answer, 405, "POST")
    assert answer.headers["allow"] == "POST"


def test_who_sends_too_much_waits_and_nobody_else_does(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = api_over(world, tmp_path, monkeypatch, api_rate=3)
    other = service.token(Role.VIEWER)
    codes = [service.get("/products").status_code for _ in range(5)]
    told = assert_problem(service.get("/products"), 429)["detail"]
    assert followed(" asks more often in a minute than SEATRIAL_API_RATE allows: ask later") in told
    assert codes == [200, 200, 200, 429, 429]
    assert int(service.get("/products").headers["retry-after"]) in range(1, 61)
    assert service.get("/products", other).status_code == 200
    world.clock.sleep(timedelta(minutes=1))
    assert service.get("/products").status_code == 200


@pytest.mark.parametrize(
    ("kind", "status"), [("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("", 415)]
)
def test_a_form_of_another_page_orders_nothing(service: ApiScene, kind: str, status: int) -> None:
    state = until(service.world, Phase.OBSERVING)
    headers = {"content-type": kind} if kind else {}
    path = f"{ROOT}/products/{PRODUCT}/orders/abort"
    answer = service.ask(path, "POST", service.machine_token, content=b'{"reason":"x"}', headers=headers)
    assert_problem(answer, status, "application/json")
    assert service.world.journal.orders(state.rollout_id) == ()


@pytest.mark.parametrize("reason", ["a\r\nforged line", "\x1b[2J", "\x00", "a" * 501, "\ud800"])
def test_a_reason_is_one_line_of_text(service: ApiScene, reason: str) -> None:
    state = until(service.world, Phase.OBSERVING)
    body = json.dumps({"reason": reason}).encode()
    headers = {"content-type": "application/json"}
    path = f"{ROOT}/products/{PRODUCT}/orders/abort"
    answer = service.ask(path, "POST", service.machine_token, content=body, headers=headers)
    assert_problem(answer, 422, "reason")
    assert service.world.journal.orders(state.rollout_id) == ()


def test_history_of_all_products_is_what_the_caller_may_see(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    mine, other = service.token(Role.VIEWER, PRODUCT), service.token(Role.VIEWER, "flights")
    assert {each["product"] for each in service.get("/history", mine).json()["items"]} == {PRODUCT}
    assert service.get("/history", other).json() == {"items": []}


def test_the_caller_is_told_who_he_is(service: ApiScene) -> None:
    told = service.get("/caller", service.token(Role.OPERATOR, PRODUCT)).json()
    assert told == {"who": "operator-0 (token)", "roles": {PRODUCT: "operator"}}


def test_the_plan_is_that_of_the_command_line(service: ApiScene) -> None:
    told = service.get(f"/products/{PRODUCT}/plan?strategy=canary&rate=20").json()
    assert (told["strategy"], told["champion"], told["traffic"]["requests_per_second"]) == ("canary", 1, 20)
    assert_problem(service.get(f"/products/{PRODUCT}/plan?strategy=best"), 400, "no strategy 'best'", "canary")
    assert_problem(service.get(f"/products/{PRODUCT}/plan?rate=-1"), 400, "rate")


def test_what_is_ahead_of_a_rollout_is_told_with_when_it_ends(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    carrier = Carrier(service.world.doors)
    for _ in range(3):
        state = carrier.advance(state)
    told = service.get(f"/products/{PRODUCT}/rollouts/current/forecast").json()
    assert told["requests_per_second"] == pytest.approx(50, rel=0.05)
    assert [step["number"] for step in told["steps"]] == list(range(state.done + 1, len(state.steps) + 1))
    assert told["seconds"] > 0


def test_a_cursor_lasts_though_the_oldest_events_go(service: ApiScene) -> None:
    until(service.world, Phase.OBSERVING)
    journal = service.world.journal
    whole = service.get(f"/products/{PRODUCT}/history").json()["items"]
    first = service.get(f"/products/{PRODUCT}/history?limit=2").json()
    del journal._events[0]  # as a journal in a cluster does
    second = service.get(f"/products/{PRODUCT}/history?limit=2&cursor={first['next']}").json()
    assert first["items"] + second["items"] == whole[:4]


def test_a_product_without_a_spec_gets_one_as_the_message_says(service: ApiScene) -> None:
    spec = service.settings.specs_folder / "wheels.yaml"
    text = spec.read_text()
    spec.unlink()
    told = assert_problem(service.post(f"/products/{PRODUCT}/releases"), 404)["detail"]
    assert followed(": write one, then `seatrial deploy`", "flows/entrypoints/control_service/api/changes.py") in told
    told = assert_problem(service.get(f"/products/{PRODUCT}/plan?rate=1"), 404)["detail"]
    assert followed(" has no spec in …/: write one", "flows/entrypoints/control_service/api/looks.py")[-9:] in told
    spec.write_text(text)
    assert service.post(f"/products/{PRODUCT}/releases").status_code == 202
    assert service.get(f"/products/{PRODUCT}/plan?rate=1").status_code == 200


def test_advice_of_the_api_helps(service: ApiScene) -> None:
    here, plan = "flows/entrypoints/control_service/api/service.py", f"/products/{PRODUCT}/plan"
    releases = f"/products/{PRODUCT}/releases"
    told = assert_problem(service.get(f"{plan}?strategy=best"), 400)["detail"]
    assert followed(": write one of …", "flows/entrypoints/control_service/api/looks.py")[:15] in told
    assert service.get(f"{plan}?rate=1&strategy={told.rpartition(', ')[2]}").status_code == 200
    told = assert_problem(service.get(f"{plan}?rate=1&rate=2"), 400)["detail"]
    assert followed("a parameter stands there twice: give it once", here) in told
    assert service.get(f"{plan}?rate=1").status_code == 200
    assert service.post(releases, {}, "k").status_code == 202
    told = assert_problem(service.post(releases, {"replicas": 2}, "k"), 422)["detail"]
    assert followed("this Idempotency-Key was used for another request: choose a new one", here) in told
    assert service.post(releases, {"replicas": 2}, "another").status_code == 202
    headers = {"content-type": "text/plain"}
    path = f"{ROOT}{releases}"
    told = assert_problem(service.ask(path, "POST", service.machine_token, content=b"{}", headers=headers), 415)[
        "detail"
    ]
    assert followed("send the body as …", here)[:16] in told
    assert service.post(releases, {}).status_code == 202


def test_a_spec_that_cannot_be_read_is_told_by_lint(service: ApiScene, seatrial: Seatrial) -> None:
    spec = service.settings.specs_folder / "broken.yaml"
    spec.write_text("product: [")
    (broken,) = (each for each in service.get("/products").json()["items"] if each["product"] == "broken")
    assert "`seatrial lint broken` says why" in broken["description"]
    assert followed("cannot be read: `seatrial lint …` says why", "flows/reports/products.py")
    assert seatrial("lint", str(spec)) == 2
