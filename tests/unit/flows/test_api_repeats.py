"""Requests to the API that are sent again: at once, after a failure, and after the service was killed."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.access_control.identities import machine_token
from deployments.clock import SystemClock
from deployments.errors import DiskFull
from deployments.journals.database import DatabaseJournal
from deployments.local_platform.await_ready import answers, wait_until
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase
from deployments.settings import Settings
from flows.entrypoints.control_service.api.idempotency import Answers
from flows.entrypoints.control_service.api.operations import ROOT
from tasks.rollout_engine.carrier import Carrier
from tests.ports import free_port
from tests.unit.deployments.webhooks.prefect_server import Prefect
from tests.unit.flows.access_scene import HOST
from tests.unit.flows.api_scene import ApiScene, api_over, assert_problem
from tests.unit.flows.api_victim import POINTS
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

PAUSE = f"/products/{PRODUCT}/orders/pause"
RELEASE = f"/products/{PRODUCT}/releases"


@pytest.fixture
def service(tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> ApiScene:
    return api_over(world, tmp_path, monkeypatch)


def test_an_order_that_is_sent_again_is_given_once_and_answered_the_same(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    first, again = (service.post(PAUSE, {"reason": "lunch"}, "k1") for _ in range(2))
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(service.world.journal.orders(state.rollout_id)) == 1


def test_a_key_is_of_one_caller_one_operation_and_one_body(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    assert service.post(PAUSE, {"reason": "lunch"}, "k1").status_code == 202
    assert_problem(service.post(PAUSE, {"reason": "dinner"}, "k1"), 422, "another request", "choose a new one")
    assert service.post(f"/products/{PRODUCT}/orders/skip", {}, "k1").status_code in {202, 409}
    assert service.post(RELEASE, {}, "k1").status_code == 202
    orders = [order.reason for order in service.world.journal.orders(state.rollout_id) if order.verb is Verb.PAUSE]
    assert orders == ["lunch"]


@pytest.mark.parametrize("key", ["a b", "a" * 129, "ä", "\x01"])
def test_what_is_no_key_is_refused_and_nothing_is_done(service: ApiScene, key: str) -> None:
    headers = [(b"idempotency-key", key.encode()), (b"host", HOST.encode())]
    headers.append((b"authorization", f"Bearer {service.machine_token}".encode()))
    assert_problem(_raw(service, RELEASE, headers), 400, "128 printable signs")
    assert not service.prefect.runs


def test_two_keys_are_none(service: ApiScene) -> None:
    headers = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b"), (b"host", HOST.encode())]
    headers.append((b"authorization", f"Bearer {service.machine_token}".encode()))
    assert_problem(_raw(service, RELEASE, headers), 400, "once")


def _raw(service: ApiScene, path: str, headers: list[tuple[bytes, bytes]]) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
            return await client.post(f"{ROOT}{path}", headers=headers)

    return asyncio.run(send())


def test_the_same_request_many_times_at_once_is_done_once(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    barrier = threading.Barrier(8)

    def send(_: int) -> httpx.Response:
        barrier.wait()
        return service.post(PAUSE, {"reason": "lunch"}, "k1")

    with ThreadPoolExecutor(8) as pool:
        answered = list(pool.map(send, range(8)))
    assert {each.status_code for each in answered} <= {202, 409}
    assert len({each.content for each in answered if each.status_code == 202}) == 1
    assert len(service.world.journal.orders(state.rollout_id)) == 1


def test_of_opposite_orders_at_once_one_is_taken_and_the_other_is_told(service: ApiScene) -> None:
    state = until(service.world, Phase.OBSERVING)
    barrier = threading.Barrier(2)

    def send(verb: str) -> httpx.Response:
        barrier.wait()
        return service.post(f"/products/{PRODUCT}/orders/{verb}", {"reason": verb})

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(send, ["abort", "promote"])
    given = service.world.journal.orders(state.rollout_id)
    if second.status_code == 409:  # the abort was first
        assert_problem(second, 409, "cannot promote now", "restoring")
        assert [order.verb for order in given] == [Verb.ABORT]
    else:  # what was promoted may still be given up
        assert [order.verb for order in given] == [Verb.PROMOTE, Verb.ABORT]
    assert first.status_code == 202


def test_of_two_orders_that_were_both_written_down_the_rollout_says_what_became_of_each(
    service: ApiScene,
) -> None:
    state = until(service.world, Phase.OBSERVING)
    journal, clock = service.world.journal, service.world.clock
    journal.give(state.rollout_id, Verb.ABORT, "ada (token)", "harm", clock.now())
    journal.give(state.rollout_id, Verb.PROMOTE, "bob (token)", "fine", clock.now())  # neither knew of the other
    told = service.get(f"/products/{PRODUCT}/rollouts/current").json()["orders"]
    assert [(each["verb"], each["became"]) for each in told] == [("abort", "waits"), ("promote", "waits")]
    carrier = Carrier(service.world.doors)
    while state.live:
        state = carrier.advance(state)
    told = service.get(f"/products/{PRODUCT}/rollouts/current").json()["orders"]
    assert [(each["who"], each["became"]) for each in told] == [("ada (token)", "done"), ("bob (token)", "declined")]
    assert "promote: the rollout is restoring already" in told[1]["why"]


def test_what_failed_behind_the_service_may_be_asked_again_at_once_with_the_same_key(service: ApiScene) -> None:
    service.prefect.away = True
    assert service.post(RELEASE, {}, "k1").status_code == 503
    service.prefect.away = False
    assert service.post(RELEASE, {}, "k1").status_code == 202
    assert service.post(RELEASE, {}, "k1").headers["idempotency-replayed"] == "true"
    assert len(service.prefect.runs) == 1


def test_a_run_whose_answer_could_not_be_kept_is_the_same_run_afterwards(
    service: ApiScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DiskFull("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(Answers, "answered", full)
        assert service.post(RELEASE, {}, "k1").status_code == 503
    assert service.post(RELEASE, {}, "k1").status_code == 202
    assert len(service.prefect.runs) == 1


def test_a_key_is_forgotten_after_a_day(service: ApiScene) -> None:
    service.post(RELEASE, {}, "k1")
    service.world.clock.sleep(timedelta(days=1, seconds=1))
    service.post(f"/products/{PRODUCT}/retries", {}, "k2")  # whoever asks next sweeps
    assert "idempotency-replayed" not in service.post(RELEASE, {}, "k1").headers


_SAMPLE = {("given", "pause"), ("started", "release")}
_CASES = [
    pytest.param(point, what, marks=() if (point, what) in _SAMPLE else pytest.mark.crash)
    for point in POINTS
    for what in ("pause", "release")
    if not (what == "pause" and point in {"starting", "started"}) and not (what == "release" and "giv" in point)
]


@pytest.mark.parametrize(("point", "what"), _CASES)
def test_whoever_is_killed_between_request_and_answer_has_done_it_once(tmp_path: Path, point: str, what: str) -> None:
    home = tmp_path / "home"
    settings = Settings(home=home, project=tmp_path)
    settings.private_home()
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "bikes.yaml").write_text(f"product: {PRODUCT}\n")
    journal = DatabaseJournal(settings.journal_address)
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.run(world.wish(1))
    world.journal = journal  # type: ignore[assignment]
    world.doors = replace(world.doors, journal=journal)
    state = until(world, Phase.OBSERVING)
    path = PAUSE if what == "pause" else RELEASE
    headers = {"authorization": f"Bearer {machine_token(settings.keys_folder)}", "idempotency-key": "k1"}
    Prefect.runs.clear()

    def sent(url: str) -> httpx.Response:
        return httpx.post(f"{url}{ROOT}{path}", json={}, headers=headers, timeout=60, trust_env=False)

    with _prefect() as prefect, closing(journal):
        with _service(tmp_path, prefect, point) as (victim, url):
            with suppress(httpx.HTTPError):
                sent(url)
            assert victim.wait(60) == -signal.SIGKILL, (tmp_path / "log").read_text()
        with _service(tmp_path, prefect, "none") as (_, url):
            answer = sent(url)
            assert answer.status_code == 202, answer.text + (tmp_path / "log").read_text()
            assert sent(url).content == answer.content
        orders = [order.number for order in journal.orders(state.rollout_id)]
    told: dict[str, Any] = answer.json()
    if what == "pause":
        assert orders == [told["order"]]
    else:
        assert len(Prefect.runs) == 1
        assert told["run"] == "00000000-0000-4000-8000-000000000001"


@contextmanager
def _prefect() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prefect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _service(folder: Path, prefect: str, point: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    told = {"SEATRIAL_HOME": str(folder / "home"), "SEATRIAL_PROJECT": str(folder), "PREFECT_API_URL": prefect}
    command = [sys.executable, "-m", "tests.unit.flows.api_victim", point, "--port", str(port)]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, env=own | told, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        up = lambda: process.poll() is not None or answers(f"{url}/health")  # noqa: E731
        wait_until(up, "control", timedelta(minutes=2), SystemClock())
        yield process, url
    finally:
        process.kill()
        process.wait()
