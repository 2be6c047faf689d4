"""What docs/feedback.md claims of what is sent, held against the endpoint over a ledger."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployments.metrics.feedback.admission import MOST_METRICS
from deployments.metrics.feedback.pending_by_user import ANSWERED_WITHIN, MOST_WAITING, PATIENCE
from deployments.metrics.feedback.store import FeedbackLedger
from deployments.serving.recent_mirrored import KEPT
from tests.docs.claims import claim
from tests.feedback_door import Door, sealed
from tests.unit.flows.feedback_scene import BY_KEY, GATEWAY, Scene, about

ORIGIN = {"origin": "https://shop.example"}


def code(scene: Scene, content: Any, kind: str | None = "application/json", **headers: str) -> int:
    return scene.send(content, kind, headers=headers).status_code


@claim(
    "docs/feedback.md",
    "Send one object or a list of up to 1,000, at most 1 MiB, within 10 s, with `content-type: application/json`. With "
    "`application/x-ndjson` an object a line, with `text/csv` (UTF-8) a row each below a header of these names, an "
    "empty cell "
    "for what is left out;",
    "| 413 | longer than 10 s, more than 1 MiB | send it in parts |".replace("| 413", "| 408, 413"),
    "| 415 | another content type | send one of those that the answer names |",
    "Other content types are not taken: a web page could send them without being asked.",
)
def test_what_may_be_sent(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    assert code(scene, about("one")) == 202
    assert code(scene, [about(f"many-{number}") for number in range(1000)]) == 202
    assert code(scene, [about(f"more-{number}") for number in range(1001)]) == 422
    assert code(scene, b" " * (1024 * 1024 + 1)) == 413
    assert code(scene, json.dumps(about("line")).encode(), "application/x-ndjson") == 202
    row = f"shop,3,{sealed('row')},clicks,1,\n".encode()
    assert code(scene, b"product,version,request_id,metric,value,at\n" + row, "text/csv; charset=utf-8") == 202
    refused = scene.send(about("plain"), "text/plain")
    assert (refused.status_code, "text/csv" in refused.json()["error"]) == (415, True)


@claim(
    "docs/feedback.md",
    "| 401 | the product's feedback needs [its key](#a-key-for-senders), or feedback by a user's key comes from "
    "another machine |",
    "By default whoever reaches the gateway may send feedback on answers whose ids he has.",
    "it is taken from this machine only: by the gateway at `localhost`, not through a proxy, and not in a cluster.",
)
def test_who_may_send(ledger: FeedbackLedger) -> None:
    assert code(Scene(ledger), about("a"), **GATEWAY) == 202
    assert code(Scene(ledger), BY_KEY, **GATEWAY) == 401
    with_key = Scene(ledger, Door(keys={"shop": b"s3cret"}))
    assert code(with_key, about("b"), **GATEWAY) == 401
    assert code(with_key, about("b"), **GATEWAY, authorization="Bearer s3cret") == 202


@claim(
    "docs/feedback.md",
    "| 403 | a [web page](#from-a-web-page) that may not send | list its origin |",
    "A browser that sends for a page is refused (403), also for one at the gateway's own address, unless "
    "`SEATRIAL_FEEDBACK_ORIGINS` lists the page's origin.",
)
def test_pages_may_send_when_they_are_listed(ledger: FeedbackLedger) -> None:
    assert code(Scene(ledger), about("a"), **ORIGIN) == 403
    listed = Scene(ledger, None, ORIGIN["origin"])
    assert code(listed, about("a"), **ORIGIN) == 202
    assert listed.send(b"", None, "OPTIONS", ORIGIN).status_code in {200, 204}


@claim(
    "docs/feedback.md",
    "| 404 | nothing was stored: a product that was never rolled out here | mend the name |",
    "| 422 | nothing was stored; `problems` has the first 20 mistakes with their places, `more` how many there are "
    "beside these |",
    "Not older than `SEATRIAL_FEEDBACK_DAYS` (90 days), nor in the future |",
    "a number between -1e15 and 1e15;",
    "a name of your own: small letters, digits and `_`, a letter first; `label` is the truth |",
)
def test_what_is_wrong_is_told_and_nothing_of_it_stored(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    assert code(scene, about("a", product="unheard")) == 404
    told = scene.send([about("good"), *[about(f"{number}", value="?") for number in range(25)]])
    assert (told.status_code, len(told.json()["problems"]), told.json()["more"]) == (422, 20, 5)
    now = datetime.now(UTC)
    for wrong in (
        {"at": (now - timedelta(days=91)).isoformat()},
        {"at": (now + timedelta(hours=1)).isoformat()},
        {"value": 2e15},
        {"metric": "Clicks"},
        {"metric": "1st"},
    ):
        assert code(scene, about("b", **wrong)) == 422
    assert ledger.sums("shop") == {}
    assert code(scene, about("c", at=(now - timedelta(days=89)).isoformat())) == 202


@claim(
    "docs/feedback.md",
    "`refused` how many were left out for [their ids](#which-ids-count) (`problems` has the first),",
    "Nothing else does: an invented id, one of another version, one that was changed.",
    "Until then set `SEATRIAL_FEEDBACK_IDS=any`: then ids without a seal are taken too, from anybody.",
)
def test_only_sealed_ids_count(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    invented = about("a") | {"request_id": "invented"}
    for wrong in (invented, about("a", version=4), about("a") | {"request_id": f"x{sealed('a')}"}):
        assert code(scene, wrong) == 422
    told = scene.send([about("b"), invented]).json()
    assert (told["stored"], told["refused"], len(told["problems"])) == (1, 1, 1)
    assert Scene(ledger, Door(any_id=True)).send(invented).json()["stored"] == 1


@claim(
    "docs/feedback.md",
    "There is one value for each product, metric and request, the first that came:",
    "Sending it again changes nothing, so a client that is not sure may always repeat;",
)
def test_the_first_value_counts(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger)
    for value in (1.5, 1.5, 9.0):
        assert scene.send(about("a", value=value)).status_code == 202
    assert ledger.sums("shop")[3]["clicks"].count == 1
    assert ledger.sums("shop")[3]["clicks"].total == 1.5


@claim(
    "docs/feedback.md",
    "| 429 | too much within a minute,",
    "| 503 | the control service or its database is away, or 32 requests are being read | send the same again later |",
)
def test_what_is_too_much_may_be_sent_again(ledger: FeedbackLedger) -> None:
    scene = Scene(ledger, Door(rate=1))
    assert code(scene, about("a"), **GATEWAY) == 202
    late = scene.send(about("b"), headers=GATEWAY)
    assert (late.status_code, int(late.headers["retry-after"]) > 0) == (429, True)
    assert code(Scene(None), about("a")) == 503


@claim("docs/feedback.md", "408, 413 | longer than 10 s")
def test_a_body_that_does_not_come_is_given_up(ledger: FeedbackLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.entrypoints.control_service import feedback

    assert feedback._SLOWEST_BODY_SECONDS == 10.0
    monkeypatch.setattr(feedback, "_SLOWEST_BODY_SECONDS", 0.05)

    async def never() -> AsyncIterator[bytes]:
        import asyncio

        yield b"{"
        await asyncio.sleep(30)

    assert code(Scene(ledger), never()) == 408


@claim(
    "docs/feedback.md",
    "It is about the newest answer that this user got until `at`, and not longer than 7 days before;",
    "and given up after a day;",
    "Of each product 20,000 pieces may wait;",
    "names of metrics (beside those by which it is judged).",
    "the rollout, from the servers' last 20,000 answers |",
)
def test_bounds_of_what_waits_and_is_kept() -> None:
    assert (timedelta(days=7), timedelta(days=1), 20_000) == (ANSWERED_WITHIN, PATIENCE, MOST_WAITING)
    assert (MOST_METRICS, KEPT) == (100, 20_000)
