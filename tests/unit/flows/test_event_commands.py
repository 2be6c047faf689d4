"""`seatrial events …`: receivers are added, listed and removed; what was given up is shown and sent again."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.event_delivery.catalogue import RUN_REFUSED
from deployments.event_delivery.collector import collect
from deployments.event_delivery.outbox import Outbox, State
from deployments.event_delivery.subscriptions import Subscriptions
from deployments.journals.database import DatabaseJournal
from deployments.settings import Settings, current
from flows.entrypoints.cli import main as cli
from tests.advice import followed
from tests.unit.deployments.event_delivery.a_line import refused
from tests.unit.flows.conftest import PROJECT

Captured = pytest.CaptureFixture[str]
Said = Callable[..., str]
URL = "https://chat.example/hook/s3cret"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SEATRIAL_PROJECT", str(PROJECT))
    current.cache_clear()
    settings = current()
    settings.private_home()
    journal = DatabaseJournal(settings.journal_address)
    monkeypatch.setattr("deployments.wiring.journal", lambda: journal)
    yield settings
    journal.close()
    current.cache_clear()


@pytest.fixture
def said(home: Settings, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> Said:
    def run(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["seatrial", "events", *arguments])
        assert cli.run() == code
        told = capsys.readouterr()
        return told.out or told.err

    return run


def gives_up(settings: Settings, subscription: str) -> None:
    """An event that its receiver does not take for a day."""
    from deployments import wiring

    wiring.journal().record(refused())
    with closing(Outbox(settings.feedback_database)) as outbox:
        collect(wiring.journal(), outbox, list(Subscriptions(settings.keys_folder).all()), SystemClock())
        for each in outbox.heads(subscription):
            outbox.failed(each, State.DEAD, "the receiver answered HTTP 500")


def document(text: str) -> Any:
    return json.loads(text)


def test_a_key_is_shown_once_and_the_address_is_never(home: Settings, said: Said) -> None:
    told = document(said("subscriptions", "add", URL, "--product", "flights", "--type", RUN_REFUSED, "--json"))
    (kept,) = Subscriptions(home.keys_folder).all()
    assert (told["key"], told["id"], kept.url) == (kept.secret, kept.id, URL)
    assert (told["receiver"], told["products"], told["types"]) == ("https://chat.example", ["flights"], [RUN_REFUSED])
    later = said("subscriptions", "list") + said("subscriptions", "list", "--json") + said("dead-letters", "--json")
    assert kept.id in later
    assert "s3cret" not in later
    assert kept.secret not in later


def test_who_has_nobody_yet_is_told_how_to_add_one_and_who_names_a_wrong_one_how_to_find_it(said: Said) -> None:
    assert followed("Nobody is told of events yet: `seatrial events subscriptions add URL` adds a receiver") in said(
        "subscriptions", "list"
    )
    said("subscriptions", "add", URL)
    assert followed("`seatrial events subscriptions list` shows them") in said("subscriptions", "remove", "x", code=2)
    (one,) = document(said("subscriptions", "list", "--json"))["subscriptions"]
    assert document(said("subscriptions", "remove", one["id"], "--json")) == {"id": one["id"]}
    assert document(said("subscriptions", "list", "--json")) == {"subscriptions": []}


def test_a_wrong_product_or_address_adds_nothing(said: Said, home: Settings) -> None:
    said("subscriptions", "add", URL, "--product", "nothing", code=2)
    said("subscriptions", "add", "http://chat.example/", code=2)
    said("subscriptions", "add", URL, "--type", "what", code=2)
    assert Subscriptions(home.keys_folder).ids() == ()


def test_a_new_receiver_is_told_of_what_comes_and_the_others_miss_nothing(said: Said, home: Settings) -> None:
    from deployments import wiring

    said("subscriptions", "add", URL)
    (first,) = Subscriptions(home.keys_folder).ids()
    wiring.journal().record(refused(reason="before the second"))
    said("subscriptions", "add", URL)
    wiring.journal().record(refused(reason="after"))
    with closing(Outbox(home.feedback_database)) as outbox:
        collect(wiring.journal(), outbox, list(Subscriptions(home.keys_folder).all()), SystemClock())
        counts = {name: each[State.WAITING] for name, each in outbox.counts().items()}
    assert counts.pop(first) == 2
    assert counts.pop("prefect") == 1
    assert list(counts.values()) == [1]


def test_dead_letters_are_shown_and_sent_again(said: Said, home: Settings) -> None:
    assert "No event was given up" in said("dead-letters")
    one = document(said("subscriptions", "add", URL, "--json"))["id"]
    gives_up(home, one)
    shown = said("dead-letters")
    assert "500" in shown
    assert followed("`seatrial events resend` sends them again") in shown
    (letter,) = document(said("dead-letters", "--subscription", one, "--json"))["dead_letters"]
    assert (letter["type"], letter["tries"], letter["data"]["reason"]) == (RUN_REFUSED, 1, "roc_auc 0.5")
    assert document(said("resend", "--json")) == {"waiting": 1}
    assert "0 events wait" in said("resend")
    with closing(Outbox(home.feedback_database)) as outbox:
        assert outbox.heads(one)[0].occurrence.id == letter["id"]
