"""A delivery is answered 202 once it is on the disk, and nothing else is."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.errors import DiskFull, PlatformUnreachable
from deployments.local_platform.prefect_address import prefect_rest
from deployments.settings import Settings
from tests.advice import followed
from tests.hostile.webhook_fuzz import Fuzz
from tests.unit.deployments.webhooks.deliveries import SOURCE_NAMES, LibraryDatetime
from tests.unit.flows.webhook_scene import Scene


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)
    made = Scene(tmp_path)
    yield made
    made.inbox.close()


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_a_good_delivery_is_stored_before_it_is_answered(scene: Scene, source: str) -> None:
    headers, body = scene.good(source)
    answer = scene.send(scene.hook(source).path, headers, body)
    assert (answer.status, answer.content["accepted"]) == (202, True)
    (stored,) = scene.inbox.waiting(10)
    assert (stored.source, stored.product, stored.delivery) == (source, "shop", answer.content["delivery"])
    assert scene.woken == 1


@pytest.mark.parametrize("source", SOURCE_NAMES)
def test_a_repetition_is_said_to_be_one_and_not_stored_again(scene: Scene, source: str) -> None:
    headers, body = scene.good(source)
    path = scene.hook(source).path
    answers = [scene.send(path, headers, body) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 200, 200]
    assert answers[1].content == {"accepted": False, "why": "it was accepted before"}
    assert len(scene.inbox.waiting(10)) == 1


def test_many_at_once_are_each_stored_once(scene: Scene) -> None:
    good = [scene.good("generic") for _ in range(100)]

    async def all_twice() -> list[int]:
        asked = [scene.ask(scene.hook("generic").path, *each) for each in (*good, *good)]
        return [answer.status for answer in await asyncio.gather(*asked)]

    statuses = asyncio.run(all_twice())
    assert (statuses.count(202), statuses.count(200)) == (100, 100)
    assert len(scene.inbox.waiting(1000)) == 100


def test_who_goes_before_the_answer_stops_nobody_else(scene: Scene) -> None:
    async def gone() -> None:
        task = asyncio.create_task(scene.ask(scene.hook("generic").path, *scene.good("generic")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(gone())
    assert scene.send(scene.hook("generic").path, *scene.good("generic")).status == 202


@pytest.mark.parametrize("error", [DiskFull("no space left"), PlatformUnreachable("it does not answer")])
def test_what_cannot_be_stored_is_not_accepted_and_may_be_sent_again(
    scene: Scene, error: DiskFull, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.failing = error
    headers, body = scene.good("generic")
    answer = scene.send(scene.hook("generic").path, headers, body)
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
    assert str(error) in capsys.readouterr().out
    scene.failing = None
    assert scene.send(scene.hook("generic").path, headers, body).status == 202


def test_a_webhook_that_sends_too_much_is_told_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)
    scene = Scene(tmp_path, rate=2)
    answers = [scene.send(scene.hook("generic").path, *scene.good("generic")) for _ in range(3)]
    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[2].headers["retry-after"] == "30"
    assert followed("this webhook sends more a minute than SEATRIAL_WEBHOOK_RATE") in answers[2].content["error"]
    other = scene.send(scene.hook("generic", "other").path, *scene.good("generic", "other"))
    assert other.status == 202
    scene.inbox.close()


def test_what_github_sends_as_a_form_is_told_how_to_send_it(scene: Scene) -> None:
    headers, body = scene.good("github")
    form = headers | {"content-type": "application/x-www-form-urlencoded"}
    answer = scene.send(scene.hook("github").path, form, body)
    assert answer.status == 415
    advice = followed("send application/json (GitHub: choose it as the content type of the webhook)")
    assert answer.content["error"] == advice
    assert scene.send(scene.hook("github").path, headers, body).status == 202


def test_what_is_refused_is_said_at_most_once_a_minute_and_without_its_secrets(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    headers, body = scene.good("generic")
    for _ in range(50):
        scene.send(scene.hook("generic").path, headers | {"webhook-signature": "v1,hunter2"}, body)
        scene.send("/seatrial/webhooks/generic/nope", headers, body)
    (line,) = capsys.readouterr().out.splitlines()
    assert line == ("a delivery of generic for shop was refused: the signature is not that of a key of this webhook")


def test_none_of_some_thousand_bad_deliveries_is_accepted(scene: Scene) -> None:
    async def attack() -> Fuzz:
        fuzz = Fuzz(scene, seed=14)
        await fuzz.begin()
        await fuzz.run(3000)
        return fuzz

    fuzz = asyncio.run(attack())
    assert fuzz.wrong == []
    assert min(fuzz.counts.values()) > 50
    assert len(scene.inbox.waiting(100)) == 6


def test_prefect_is_found_once_it_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(home=tmp_path)
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with pytest.raises(PlatformUnreachable, match=followed("there is no Prefect server yet: `seatrial up` starts one")):
        prefect_rest(settings)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    assert prefect_rest(settings) is prefect_rest(settings)
