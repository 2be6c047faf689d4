"""A cluster that does not answer, hangs up, forgets or has been overtaken: users are answered, and the rollout goes on.

The runner's own way to the API server is cut (see `Relay`), which any cluster allows. Where `SEATRIAL_TEST_API_DOWN`
and `SEATRIAL_TEST_API_UP` are commands that stop and start the API server, it is away for everybody.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.cluster import ApiError, Cluster, Expired
from deployments.cluster.api_client import Connection
from deployments.cluster.resource_kinds import HTTP_ROUTE, POD, Kind
from deployments.rollout.state import Phase
from deployments.rollout.steps import Observe
from deployments.spec import CanarySection, CanaryStep, Strategy
from tests.cluster.conftest import wait_until
from tests.cluster.relay import Relay
from tests.cluster.traffic import Answered, users
from tests.cluster.trials import RATE, Trial

_AWAY_SECONDS = 60.0
# Slow enough to be interrupted.
_CANARY = CanarySection(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), wait=timedelta(seconds=10))


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay()
    yield made
    made.close()


@pytest.fixture
def through(relay: Relay, serving: Trial, cluster: Cluster, tmp_path: Path) -> Trial:
    """The product, for a runner who comes by the relay."""
    way = relay.kubeconfig(tmp_path / "kubeconfig", cluster.namespace)
    return serving.by_way_of(Cluster.of(cluster.namespace, kubeconfig=way))


@contextmanager
def cut_off_runner(relay: Relay) -> Iterator[None]:
    with relay.away():
        yield


@contextmanager
def no_api_server(relay: Relay) -> Iterator[None]:
    del relay
    _run("SEATRIAL_TEST_API_DOWN")
    try:
        yield
    finally:
        _run("SEATRIAL_TEST_API_UP")


def _run(name: str) -> None:
    subprocess.run(os.environ[name], shell=True, check=True, timeout=180)  # noqa: S602 - whoever tests wrote it


def _whose_server_may_be_stopped() -> bool:
    return {"SEATRIAL_TEST_API_DOWN", "SEATRIAL_TEST_API_UP"} <= os.environ.keys()


@pytest.mark.parametrize(
    "away",
    [
        pytest.param(cut_off_runner, id="for the runner"),
        pytest.param(
            no_api_server,
            id="for everybody",
            marks=pytest.mark.skipif(not _whose_server_may_be_stopped(), reason="nobody said how to stop the server"),
        ),
    ],
)
def test_an_api_server_that_is_away_for_a_minute_delays_a_canary_and_no_user_notices(
    serving: Trial, through: Trial, relay: Relay, record_property: Callable[[str, object], None], away: Any
) -> None:
    candidate = serving.fleet.add(serving.product)
    with users(serving.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(through.roll_out, candidate, Strategy.CANARY, canary=_CANARY)
        _until_it_observes(serving)
        with away(relay):
            during = answered.requests
            time.sleep(_AWAY_SECONDS)
            during = answered.requests - during
        state = ending.result(600)
    record_property("answered", dict(answered.codes))
    record_property("while it was away", during)
    assert state.phase is Phase.DONE, state.reason
    assert during > RATE * _AWAY_SECONDS / 2
    assert _unanswered(answered) == {}
    assert serving.at_rest_with == (candidate,)


def test_connections_that_break_all_the_time_end_watches_and_no_rollout(
    serving: Trial, through: Trial, relay: Relay, record_property: Callable[[str, object], None]
) -> None:
    candidate, broken = serving.fleet.add(serving.product), 0
    with users(serving.url, RATE) as answered, ThreadPoolExecutor(1) as pool:
        ending = pool.submit(through.roll_out, candidate, Strategy.CANARY)
        while not ending.done():
            time.sleep(2)
            broken += relay.drop()
        state = ending.result()
    record_property("broken connections", broken)
    assert state.phase is Phase.DONE, state.reason
    assert broken > 10
    assert _unanswered(answered) == {}
    assert serving.at_rest_with == (candidate,)


class Forgetful(Cluster):
    """A runner that took so long that the cluster has forgotten what it was at: every watch begins with 410."""

    forgot = 0

    def watch(
        self, kind: Kind, since: str, seconds: float, labels: str = "", fields: str = ""
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            yield from super().watch(kind, "1", seconds, labels, fields)
        except Expired:
            self.forgot += 1
            raise


def test_a_cluster_that_has_forgotten_since_when_is_asked_anew(
    serving: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate, late = serving.fleet.add(serving.product), Forgetful(Connection.of(), cluster.namespace)
    with pytest.raises(Expired):
        list(late.watch(POD, "", 5))
    with users(serving.url, RATE) as answered:
        state = serving.by_way_of(late).roll_out(candidate, Strategy.CANARY)
    record_property("times 410", late.forgot)
    assert state.phase is Phase.DONE, state.reason
    assert late.forgot > 1
    assert _unanswered(answered) == {}
    assert serving.at_rest_with == (candidate,)


class Overtaken(Cluster):
    """A runner whom somebody overtakes before each write that says what it was built on: once, then it is let."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        super().__init__(connection, namespace)
        self.overtaken: set[tuple[str, str]] = set()
        self._let: set[tuple[str, str]] = set()

    def replace(self, kind: Kind, found: Mapping[str, Any]) -> dict[str, Any]:
        wanted = (kind.name, str(found["metadata"]["name"]))
        if wanted in self._let:
            self._let.remove(wanted)
        else:
            patch = {"metadata": {"annotations": {"example.net/touched": str(time.monotonic_ns())}}}
            with suppress(ApiError):
                self.merge(kind, wanted[1], patch)
            self._let.add(wanted)
            self.overtaken.add(wanted)
        return super().replace(kind, found)


def test_conflicts_on_every_write_delay_nothing_but_the_write(
    serving: Trial, cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    candidate, overtaken = serving.fleet.add(serving.product), Overtaken(Connection.of(), cluster.namespace)
    with users(serving.url, RATE) as answered, somebody_touching(cluster, HTTP_ROUTE, f"seatrial-{serving.product}"):
        state = serving.by_way_of(overtaken).roll_out(candidate, Strategy.CANARY)
    record_property("objects overtaken", len(overtaken.overtaken))
    record_property("puts", {name: count for name, count in overtaken.calls.items() if name.startswith("put")})
    assert state.phase is Phase.DONE, state.reason
    assert {kind for kind, _ in overtaken.overtaken} >= {"HTTPRoute", "ConfigMap", "Lease"}
    assert _unanswered(answered) == {}
    assert serving.at_rest_with == (candidate,)


@contextmanager
def somebody_touching(cluster: Cluster, kind: Kind, name: str) -> Iterator[None]:
    """Somebody else writes to the object twenty times a second."""
    ending = threading.Event()

    def touch() -> None:
        while not ending.wait(0.05):
            with suppress(ApiError):
                annotations = {"example.net/somebody": str(time.monotonic_ns())}
                cluster.merge(kind, name, {"metadata": {"annotations": annotations}})

    touching = threading.Thread(target=touch)
    touching.start()
    try:
        yield
    finally:
        ending.set()
        touching.join()


def _until_it_observes(trial: Trial) -> None:
    def observes() -> bool:
        return any(
            each.live and isinstance(each.step, Observe) and each.phase is Phase.OBSERVING
            for each in trial.doors.journal.rollouts(trial.product)
        )

    wait_until(observes, 300)


def _unanswered(answered: Answered) -> dict[tuple[str, int], int]:
    return {who: count for who, count in answered.codes.items() if who[1] != 200}
