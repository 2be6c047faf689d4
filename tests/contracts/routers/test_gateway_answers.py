"""What was answered to others is no client's business, however it is asked for at the gateway of this machine."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from deployments.traffic import Backend, Mirror, Routing, Weights
from tests.contracts.routers.worlds import EnvoyWorld
from tests.model_fleet import Fleet, RunningServer

QUESTIONS = ("counts", "answers", "users?salt=a")
WAYS = (
    "/shop/seatrial/{}",
    "/shop//seatrial/{}",
    "/shop/%73eatrial/{}",
    "/shop/./seatrial/{}",
    "/shop/x/../seatrial/{}",
    "/v2/models/shop/seatrial/{}",
    "/seatrial/{}",
)


@dataclass(frozen=True, slots=True)
class Shop:
    """Two versions behind a gateway; all goes to the first one, and copies to the other."""

    world: EnvoyWorld
    champion: RunningServer

    def ask(self, path: str, headers: Mapping[str, str], body: str = "") -> tuple[int, str]:
        """A prediction, if there is a body."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.world.gateway.port, timeout=10)) as connection:
            kind = {"content-type": "application/json"} if body else {}
            connection.request("POST" if body else "GET", path, body or None, {**kind, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")

    def predict(self, **headers: str) -> int:
        return self.ask("/shop/invocations", headers, json.dumps({"dataframe_records": [{"x": 1}]}))[0]


@pytest.fixture
def shop(own: EnvoyWorld) -> Iterator[Shop]:
    fleet = Fleet(own.gateway.run_folder)
    servers = [fleet.start(version, labels=True) for version in (1, 2)]
    backends = tuple(Backend(each.version, (each.address,)) for each in servers)
    own.router.apply("shop", Routing(backends, Weights.all_to(1), mirror=Mirror(2, 100)))
    yield Shop(own, servers[0])
    fleet.stop_all()


@pytest.mark.parametrize("way", WAYS)
def test_no_way_of_writing_the_path_leads_a_client_there(shop: Shop, way: str) -> None:
    assert shop.predict() == 200
    for question in QUESTIONS:
        for headers in (
            {},
            {"x-forwarded-proto": ""},
            {"x-forwarded-proto": "http", "connection": "x-forwarded-proto"},
        ):
            status, told = shop.ask(way.format(question), headers)
            # Below /seatrial/ the control service would answer, which is not there.
            assert status in ({503} if way.startswith("/seatrial/") else {307, 400, 404}) | {400, 404}
            assert '"epoch"' not in told


def test_a_client_cannot_call_his_request_a_copy_or_ask_aside_for_what_counts(shop: Shop) -> None:
    for mark in ("x-seatrial-mirrored", "X-Seatrial-Mirrored", "x-seatrial-gateway", "x-seatrial-run"):
        assert shop.predict(**{mark: "1"}) == 200
    counted = shop.champion.service.metrics
    assert (counted.users.told()["requests"], counted.copies.told()["requests"]) == (4, 0)
    assert shop.predict(**{"x-seatrial-version": "1"}) == 200
    assert counted.users.told()["requests"] == 4
