"""Between the journal and receivers: nothing is lost or there twice, and each product's events keep their order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import DiskFull, PlatformUnreachable
from deployments.event_delivery.collector import collect
from deployments.event_delivery.outbox import KEPT_FOR, Outbox, State
from deployments.journals.database import DatabaseJournal
from deployments.journals.in_memory import InMemoryJournal
from tests.unit.deployments.event_delivery.a_line import NOW, Everybody, refused

CLOCK = ManualClock(NOW)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(f"sqlite:///{tmp_path / 'journal.db'}")) as outbox:
        yield outbox


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[DatabaseJournal]:
    with closing(DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}")) as journal:
        yield journal


def reasons(outbox: Outbox, receiver: str = "somebody") -> list[str]:
    """Of all that waits, as it would arrive."""
    found = []
    while heads := outbox.heads(receiver):
        for each in heads:
            found.append(each.occurrence.data["reason"])
            outbox.arrived(each)
    return found


def test_what_happened_before_anybody_was_there_is_not_told(outbox: Outbox, journal: DatabaseJournal) -> None:
    journal.record(refused(reason="old"))
    assert collect(journal, outbox, [Everybody()], CLOCK) == 0
    journal.record(refused(reason="new"))
    assert collect(journal, outbox, [Everybody()], CLOCK) == 1
    assert collect(journal, outbox, [Everybody()], CLOCK) == 0
    assert reasons(outbox) == ["new"]


def test_all_events_come_once_and_in_the_order_of_each_product(outbox: Outbox, journal: DatabaseJournal) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    for number in range(400):
        journal.record(refused("ab"[number % 2], reason=str(number)))
    assert collect(journal, outbox, [Everybody(), Everybody("b-only", "b")], CLOCK) == 600
    found = list(map(int, reasons(outbox)))
    assert sorted(found) == list(range(400))
    assert [each for each in found if each % 2] == list(range(1, 400, 2))
    assert len(reasons(outbox, "b-only")) == 200


def test_two_who_read_the_journal_at_once_put_nothing_there_twice(outbox: Outbox, journal: DatabaseJournal) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    for number in range(60):
        journal.record(refused(reason=str(number)))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: collect(journal, outbox, [Everybody()], CLOCK), range(4)))
    assert sum(made) == 60
    assert len(reasons(outbox)) == 60


@pytest.mark.parametrize("error", [DiskFull("no space"), PlatformUnreachable("away")])
def test_what_could_not_be_put_there_is_put_there_later(
    error: Exception, outbox: Outbox, journal: DatabaseJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    journal.record(refused(reason="new"))

    def fails(*_: Any, **__: Any) -> Any:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("deployments.event_delivery.outbox._take", fails)
        with pytest.raises(type(error)):
            collect(journal, outbox, [Everybody()], CLOCK)
    assert collect(journal, outbox, [Everybody()], CLOCK) == 1


def test_a_journal_in_the_place_of_another_one_is_told_from_its_beginning(outbox: Outbox) -> None:
    first, second = InMemoryJournal(), InMemoryJournal()
    outbox.take((), None, '{"of a cluster": 7}', [], NOW)
    for number in range(3):
        first.record(refused(reason=f"first {number}"))
    second.record(refused(reason="second", seconds=9))
    for journal in (first, second):
        collect(journal, outbox, [Everybody()], CLOCK)
    assert reasons(outbox) == ["first 0", "first 1", "first 2", "second"]


def test_what_was_given_up_is_listed_and_sent_again_with_its_id(outbox: Outbox, journal: DatabaseJournal) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    journal.record(refused())
    collect(journal, outbox, [Everybody()], CLOCK)
    (delivery,) = outbox.heads("somebody")
    outbox.failed(delivery, State.DEAD, "HTTP 500")
    assert outbox.heads("somebody") == ()
    (dead,) = outbox.dead(10)
    assert (dead.occurrence, dead.why, dead.tries) == (delivery.occurrence, "HTTP 500", 1)
    assert outbox.resend(NOW, "another") == 0
    assert outbox.resend(NOW, "somebody") == 1
    (again,) = outbox.heads("somebody")
    assert (again.occurrence.id, again.tries) == (delivery.occurrence.id, 0)


def test_a_disabled_receiver_is_sent_nothing_until_somebody_says_so(outbox: Outbox, journal: DatabaseJournal) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    for reason in ("before", "after"):
        journal.record(refused(reason=reason))
        collect(journal, outbox, [Everybody()], CLOCK)
        outbox.disable("somebody", "HTTP 410") if reason == "before" else None
    assert outbox.heads("somebody") == ()
    assert outbox.disabled() == {"somebody": "HTTP 410"}
    outbox.resend(NOW)
    assert reasons(outbox) == ["before", "after"]
    assert outbox.disabled() == {}


def test_what_was_given_up_long_ago_and_whoever_is_gone_are_forgotten(outbox: Outbox, journal: DatabaseJournal) -> None:
    collect(journal, outbox, [Everybody()], CLOCK)
    for _ in range(2):
        journal.record(refused())
    collect(journal, outbox, [Everybody()], CLOCK)
    outbox.failed(outbox.heads("somebody")[0], State.DEAD, "away")
    assert outbox.forget_old(NOW + KEPT_FOR - timedelta(seconds=1)) == 0
    assert outbox.forget_old(NOW + KEPT_FOR + timedelta(seconds=1)) == 1
    assert outbox.counts() == {"somebody": {State.WAITING: 1}}
    outbox.forget("somebody")
    assert outbox.counts() == {}
