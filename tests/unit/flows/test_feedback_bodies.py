"""What comes to /seatrial/feedback is bounded, and what cannot be stored is told so."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from deployments.metrics.feedback.store import FeedbackLedger
from flows.entrypoints.control_service import feedback
from flows.entrypoints.control_service.feedback import MAX_BODY_BYTES
from tests.advice import followed
from tests.unit.flows.feedback_scene import ITEM, Scene, about


def test_one_mistake_keeps_all_of_the_request_out_and_every_mistake_is_told(ledger: FeedbackLedger) -> None:
    response = Scene(ledger).send([about("a"), about("b", version=0, value="x")])
    assert response.status_code == 422
    assert {problem["at"] for problem in response.json()["problems"]} == {"[1].version", "[1].value"}
    assert ledger.sums("shop") == {}


def test_the_largest_request_is_taken_and_a_larger_one_is_not(ledger: FeedbackLedger) -> None:
    scene, body = Scene(ledger), json.dumps(about("a")).encode()
    assert scene.send(body.ljust(MAX_BODY_BYTES)).status_code == 202
    refused = scene.send(body.ljust(MAX_BODY_BYTES + 1))
    assert refused.status_code == 413
    assert followed(" bytes: send it in parts", "flows/entrypoints/control_service/feedback.py") in refused.text


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(ledger: FeedbackLedger) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 10_000

    assert Scene(ledger).send(endless()).status_code == 413


def test_a_body_that_never_ends_is_given_up(ledger: FeedbackLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback, "_SLOWEST_BODY_SECONDS", 0.01)

    async def silent() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    response = Scene(ledger).send(silent())
    assert (response.status_code, response.headers["connection"]) == (408, "close")
    monkeypatch.undo()
    assert followed(" s: send it in parts") in response.text
    assert Scene(ledger).send(about("a")).status_code == 202


def test_beyond_what_is_read_at_once_the_sender_comes_again(
    ledger: FeedbackLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(ledger)
    monkeypatch.setattr(feedback, "_MOST_AT_ONCE", 0)
    refused = scene.send(about("a"))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert followed("much feedback comes right now: send it again later") in refused.text
    monkeypatch.undo()
    assert scene.send(about("a")).status_code == 202


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"[" + b",".join([b"{}"] * 300_000) + b"]",
        b'{"' + b"x" * 900_000 + b'":1}',
        json.dumps([{f"field-{number}": number for number in range(40_000)}]).encode(),
        json.dumps(ITEM | {"request_id": ["x" * 900_000]}).encode(),
        json.dumps(ITEM | {"request_id": "x" * 900_000}).encode(),
    ],
)
def test_what_is_deep_long_or_wide_is_refused_in_few_words(ledger: FeedbackLedger, body: bytes) -> None:
    response = Scene(ledger).send(body)
    assert response.status_code == 422
    assert len(response.content) < 5_000


@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_of_rows_no_more_are_read_than_are_taken(ledger: FeedbackLedger, kind: str) -> None:
    body = b"product,key\n" + b"a,b\n" * 200_000 if kind == "text/csv" else b"{}\n" * 300_000
    response = Scene(ledger).send(body, kind)
    assert response.json()["problems"] == [{"at": "", "error": "send 1 to 1000 items at once"}]
    assert followed("send 1 to ") in response.text
    assert Scene(ledger).send([about(f"id-{number}") for number in range(1000)]).status_code == 202


def test_while_the_database_is_away_the_caller_is_told_to_come_back_and_nothing_else(
    ledger: FeedbackLedger, capsys: pytest.CaptureFixture[str]
) -> None:
    response = Scene(None).send(about("a"))
    assert response.status_code == 503
    assert response.json() == {"error": followed("nothing was stored: send it again later")}
    assert "the database is away" in capsys.readouterr().out
    assert Scene(ledger).send(about("a")).status_code == 202


def test_a_full_disk_is_507_and_the_next_request_is_taken_once_there_is_room(ledger: FeedbackLedger) -> None:
    with ledger._database.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    scene, many = Scene(ledger), [about(f"{number:0128}") for number in range(1000)]
    assert scene.send(many).status_code == 507
    ledger.close()  # a new connection knows no limit
    assert scene.send(many).status_code == 202
    assert ledger.sums("shop")[3]["clicks"].count == 1000


def test_only_post_is_answered(ledger: FeedbackLedger) -> None:
    assert Scene(ledger).send(b"", method="GET").status_code == 405
    assert Scene(ledger).send(b"", method="OPTIONS").status_code == 405
