"""From an answer to its feedback, through a real gateway: a real model server seals, the control service opens."""

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from deployments.clock import SystemClock
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.metrics.paired_predictions import PairJoiner
from deployments.request_ids import Sealer, without_seal
from deployments.routers.envoy.config_files import Json
from deployments.routers.envoy.upload_concurrency import SMALL_BYTES
from deployments.serving.startup.socket_handover import unix_listener
from deployments.traffic import Backend, Mirror, Routing, Weights
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.feedback import routes
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import EnvoyWorld
from tests.feedback_door import SECRET, Door
from tests.model_fleet import Fleet

JSON = {"content-type": "application/json"}
ROW = {"dataframe_records": [{"x": 1}]}


class Shop:
    """Product `shop` with two versions behind a gateway, and who takes its feedback."""

    def __init__(self, world: EnvoyWorld, fleet: Fleet, ledger: FeedbackLedger) -> None:
        self.world, self.fleet, self.ledger = world, fleet, ledger
        self.backends = []
        for version in (1, 2):
            server = fleet.start(version, labels=True)
            server.service.sealer = Sealer(SECRET, "shop", version, SystemClock())
            self.backends.append(Backend(version, (server.address,)))

    def route(self, weights: Weights, mirror: Mirror | None = None) -> None:
        self.world.router.apply("shop", Routing(tuple(self.backends), weights, mirror=mirror))

    def send(
        self, path: str, body: Any, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> tuple[int, dict[str, str], Json]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.world.gateway.port, timeout=10)) as connection:
            connection.request(method, path, json.dumps(body), JSON | (headers or {}))
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(text or "{}")

    def ask(self, **headers: str) -> tuple[int, str]:
        """Version and id of an answer."""
        status, told, _ = self.send("/shop/invocations", ROW, headers)
        assert status == 200
        return int(told["x-seatrial-version"]), told["x-request-id"]

    def tell(self, *items: Json, **headers: str) -> tuple[int, Json]:
        status, _, told = self.send("/seatrial/feedback", items, headers)
        return status, told


@contextmanager
def control(ledger: FeedbackLedger, socket: Path) -> Iterator[None]:
    """The control service's part that takes feedback."""
    admission = Door().open()
    app = make_app(routes(lambda: ledger, lambda: admission, SystemClock(), ["https://shop.example"]))
    server = uvicorn.Server(uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False))
    ready = threading.Event()

    def run() -> None:
        with unix_listener(socket) as listener:
            ready.set()
            asyncio.run(server.serve([listener]))

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(10)
    yield
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def shop(own: EnvoyWorld, tmp_path: Path) -> Iterator[Shop]:
    fleet, ledger = Fleet(own.gateway.run_folder), FeedbackLedger(f"sqlite:///{tmp_path / 'journal.db'}")
    with control(ledger, own.gateway.run_folder / "control.sock"):
        yield Shop(own, fleet, ledger)
    fleet.stop_all()
    ledger.close()


def value(version: int, request_id: str, **more: Any) -> Json:
    return {"product": "shop", "version": version, "request_id": request_id, "metric": "clicks", "value": 1} | more


def test_from_an_answer_to_its_feedback(shop: Shop) -> None:
    shop.route(Weights({1: 50, 2: 50}))
    answers = [shop.ask(**{"x-seatrial-key": f"user-{number}"}) for number in range(20)]
    assert {version for version, _ in answers} == {1, 2}
    assert shop.tell(*(value(*answer) for answer in answers)) == (202, {"stored": 20, "refused": 0})
    assert sum(metrics["clicks"].count for metrics in shop.ledger.sums("shop").values()) == 20
    log = shop.world.router.users.path
    eventually(lambda: all(f'"{without_seal(each)}"' in log.read_text() for _, each in answers))


def test_nobody_can_send_what_no_server_gave_out(shop: Shop) -> None:
    shop.route(Weights.all_to(1))
    version, request_id = shop.ask(**{"x-request-id": "chosen-by-the-client"})
    plain = without_seal(request_id)
    assert plain != request_id
    for forged in (plain, "invented", f"{plain}.{'0' * 32}"):
        assert shop.tell(value(version, forged))[0] == 422
    assert shop.tell(value(2, request_id))[0] == 422, "of another version"
    assert shop.tell(value(version, request_id))[0] == 202


def test_who_chose_the_version_cannot_say_what_versions_are_compared_by(shop: Shop) -> None:
    shop.route(Weights.all_to(1))
    _, by_header = shop.ask(**{"x-seatrial-version": "2"})
    status, told, _ = shop.send("/v2/models/shop/versions/2/infer", {"inputs": []})
    for request_id in (by_header, told["x-request-id"]):
        assert without_seal(request_id) == request_id
        assert shop.tell(value(2, request_id))[0] == 422
    assert status == 422
    assert without_seal(told["x-request-id"]) == told["x-request-id"]


def test_a_pair_is_settled_by_a_label_on_the_users_answer(shop: Shop) -> None:
    shop.route(Weights.all_to(1), Mirror(2, 100))
    joiner = PairJoiner(shop.fleet.servers, shop.ledger.labels)
    joiner.look("shop")
    version, request_id = shop.ask()
    eventually(lambda: joiner.look("shop")[0].compared == 1)
    assert joiner.look("shop")[0].disagreed == 0
    assert shop.tell(value(version, request_id, metric="label", value="yes"))[0] == 202
    assert shop.ledger.labels("shop", [without_seal(request_id)]) == {without_seal(request_id): "yes"}


def test_what_the_gateway_answers_itself_has_an_id_too(shop: Shop) -> None:
    for path in ("/seatrial/health", "/nobody/invocations"):
        _, told, _ = shop.send(path, None, method="GET")
        assert without_seal(told["x-request-id"]) == told["x-request-id"]
    status, told, _ = shop.send("/shop/invocations", ROW)
    assert (status, len(told["x-request-id"])) == (404, 36)


def test_a_browser_is_answered_by_its_pages_origin(shop: Shop) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for origin, wanted in (("https://shop.example", 204), ("https://evil.example", 403)):
        status, told, _ = shop.send("/seatrial/feedback", None, asked | {"origin": origin}, "OPTIONS")
        assert status == wanted
        assert told.get("access-control-allow-origin") == (origin if wanted == 204 else None)
    status, _, told_of = shop.send("/seatrial/feedback", [], {"content-type": "text/plain"})
    assert (status, "application/json" in told_of["error"]) == (415, True)


def test_large_feedback_is_of_the_same_sender(shop: Shop) -> None:
    large = {"product": "shop", "metric": "label", "value": "x" * 128}
    items = [large | {"key": f"user-{number}"} for number in range(1000)]
    assert len(json.dumps(items)) > 2 * SMALL_BYTES
    assert shop.tell(*items) == (202, {"stored": 1000, "refused": 0})
    assert shop.tell(*items, **{"x-forwarded-for": "203.0.113.7"})[0] == 401
    assert shop.tell(*items, **{"x-seatrial-sender": "203.0.113.7"})[0] == 202


def test_by_a_users_key_this_machine_may_send(shop: Shop) -> None:
    by_key = {"product": "shop", "key": "ann", "metric": "clicks", "value": 1}
    assert shop.tell(by_key) == (202, {"stored": 1, "refused": 0})
    assert shop.tell(by_key, **{"x-forwarded-for": "203.0.113.7"})[0] == 401, "a proxy on this machine says so"
    assert shop.tell(by_key, **{"x-seatrial-sender": "203.0.113.7"})[0] == 202, "only the gateway says who sends"
    assert shop.tell(by_key | {"product": "invented"})[0] == 404
