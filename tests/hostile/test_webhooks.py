"""What webhooks withstand: bad deliveries in numbers, and good ones faster than the disk. `make test-fuzz`."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.journals.in_memory import InMemoryJournal
from deployments.webhooks.dispatcher import Dispatcher, Openers
from tests.hostile.webhook_fuzz import Fuzz
from tests.unit.deployments.webhooks.deliveries import LibraryDatetime
from tests.unit.deployments.webhooks.fake_prefect import FakePrefect
from tests.unit.flows.webhook_scene import Answer, Scene

pytestmark = [pytest.mark.hostile, pytest.mark.timeout(3600)]
SEED = int(os.environ.get("FUZZ_SEED", "14"))
REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "100000"))
A_SECOND, SECONDS = 500, 10


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)
    made = Scene(tmp_path)
    yield made
    made.inbox.close()


def test_none_of_a_hundred_thousand_bad_deliveries_is_accepted(scene: Scene) -> None:
    async def attack() -> Fuzz:
        fuzz = Fuzz(scene, SEED)
        await fuzz.begin()
        await fuzz.run(REQUESTS)
        return fuzz

    fuzz = asyncio.run(attack())
    print(f"\nseed {SEED}: {REQUESTS} bad deliveries, answered {dict(sorted(fuzz.statuses.items()))}")
    assert fuzz.wrong == []
    assert len(scene.inbox.waiting(100)) == 6


def test_five_hundred_good_ones_a_second_are_each_started_once(scene: Scene) -> None:
    good = [scene.good("generic") for _ in range(A_SECOND * SECONDS)]
    path, took = scene.hook("generic").path, []

    async def send(at: float, headers: dict[str, str], body: bytes) -> Answer:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        began = time.perf_counter()
        answer = await scene.ask(path, headers, body)
        took.append(time.perf_counter() - began)
        return answer

    async def all_of_them() -> Counter[int]:
        began = time.perf_counter()
        asked = [send(began + number / A_SECOND, *each) for number, each in enumerate(good)]
        return Counter(answer.status for answer in await asyncio.gather(*asked))

    statuses = asyncio.run(all_of_them())
    prefect = FakePrefect()
    doors = Openers(lambda: scene.inbox, InMemoryJournal, prefect.api)
    Dispatcher(doors, scene.clock, lambda _: None).look()
    took.sort()
    print(f"\n{len(good)} deliveries at {A_SECOND}/s: 202 after {took[len(took) // 2] * 1000:.1f} ms (median), "
          f"{took[int(len(took) * 0.99)] * 1000:.1f} ms (99 of 100)")  # fmt: skip
    assert statuses == {202: len(good)}
    assert len(prefect.runs) == len(good)
