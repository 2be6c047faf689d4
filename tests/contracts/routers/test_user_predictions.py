"""What was predicted for users: told by real model servers, joined to the log of a real gateway in front of them."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deployments.analysis.counter_deltas import Mark
from deployments.analysis.user_metrics import Outcome, Stretches
from deployments.clock import SystemClock
from deployments.metrics.composite import live_metrics
from deployments.metrics.feedback.store import FeedbackLedger
from tests.contracts.routers.gateway import eventually
from tests.contracts.routers.worlds import EnvoyWorld, two
from tests.model_fleet import PREDICTION_OF_ROW, Fleet, RunningServer

CLASSES = ("no", "yes", "maybe")
USERS = 12


class Shop:
    """Two versions of a model behind a gateway that splits evenly, and what a rollout hears of their users."""

    def __init__(self, real: EnvoyWorld, folder: Path) -> None:
        self.real, self.fleet = real, Fleet(folder)
        self.servers = {version: self.start(version) for version in (1, 2)}
        real.router.apply("shop", two(self.servers[1].address, self.servers[2].address, 50))
        ledger = FeedbackLedger(f"sqlite:///{folder / 'feedback.db'}")
        parts = real.router.tallies, real.router.copies
        self.metrics = live_metrics(parts, self.fleet.servers, ledger, SystemClock(), real.router.users)
        self.mark: Mark = self.metrics.heard("shop", None).mark

    def start(self, version: int) -> RunningServer:
        return self.fleet.start(version, f"model-{version}.sock", labels=True)

    def ask(self, user: int, *rows: int, chosen_id: str = "") -> int:
        """The version that answered."""
        headers = {"x-seatrial-key": f"user-{user}", "content-type": "application/json"}
        headers |= {"x-request-id": chosen_id} if chosen_id else {}
        body = json.dumps({"dataframe_records": [{PREDICTION_OF_ROW: row} for row in rows]})
        connection = http.client.HTTPConnection("127.0.0.1", self.real.gateway.port, timeout=10)
        connection.request("POST", "/shop/invocations", body, headers)
        response = connection.getresponse()
        assert response.status == 200, response.read()
        version = int(response.headers["x-seatrial-version"])
        connection.close()
        return version

    def hears(self, count: int) -> list[Outcome]:
        found: list[Outcome] = []

        def all_heard() -> bool:
            heard = self.metrics.heard("shop", self.mark)
            assert heard.whole
            self.mark = heard.mark
            found.extend(heard.outcomes)
            return len(found) >= count

        eventually(all_heard)
        assert len(found) == count
        return found


@pytest.fixture
def shop(real: EnvoyWorld, folder: Path) -> Iterator[Shop]:
    made = Shop(real, folder)
    yield made
    made.fleet.stop_all()


def test_each_user_counts_with_what_was_predicted_for_him(shop: Shop) -> None:
    met = {user: {shop.ask(user, user % 3), shop.ask(user, user % 3, 0)} for user in range(USERS)}
    assert all(len(versions) == 1 for versions in met.values())
    heard = shop.hears(2 * USERS)
    expected: list[Mapping[str, float]] = []
    for user in range(USERS):
        label = CLASSES[user % 3]
        expected += [{label: 1.0}, {"no": 1.0} if label == "no" else {label: 0.5, "no": 0.5}]
    assert [dict(each.predicted) for each in heard] == expected
    stretches, now = Stretches(), SystemClock().now()
    stretches.begin(now)
    stretches.add(heard, now)
    counted = stretches.block(now)
    assert counted is not None
    users = Counter(version for versions in met.values() for version in versions)
    assert {version: units.count for version, units in counted.short.units.items()} == users
    predicted = sum(sum(units.predictions.values()) for units in counted.short.units.values())
    assert predicted == pytest.approx(USERS)


def test_a_server_that_was_started_anew_and_an_id_that_a_client_chose_lose_no_prediction(shop: Shop) -> None:
    shop.ask(1, 1)
    assert [each.predicted for each in shop.hears(1)] == [{"yes": 1.0}]
    for version in (1, 2):
        shop.fleet.stop(shop.servers[version])
        shop.start(version)
    for user in range(USERS):
        shop.ask(user, 2, chosen_id=f"mine-{user}")
    assert [dict(each.predicted) for each in shop.hears(USERS)] == [{"maybe": 1.0}] * USERS
