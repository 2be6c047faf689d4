"""Short leases are renewed while their holder works, and not for ever."""

import os
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import Busy, JournalUnreachable
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.lease_renewal import Renewals
from deployments.journals.protocol import Lease
from deployments.process_identity import Owner

MINUTE = timedelta(minutes=1)
SOMEWHERE, ELSEWHERE = Owner("a-host", 1, 0.0), Owner("another-host", 1, 0.0)


class Paced(ManualClock):
    """Whoever sleeps on it in another thread wakes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[timedelta] = []
        self.asleep, self.wake = threading.Semaphore(0), threading.Semaphore(0)

    def sleep(self, duration: timedelta) -> None:
        self.asked.append(duration)
        self.asleep.release()
        self.wake.acquire()

    def pass_until_next(self) -> None:
        """So much time passes as the thread asked for, and it does one round."""
        assert self.asleep.acquire(timeout=60)
        self.advance(self.asked[-1])
        self.wake.release()


class Away(InMemoryJournal):
    """A journal that does not answer for a while."""

    away = False

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        if self.away:
            raise JournalUnreachable("no answer")
        super().renew(lease, now, ttl)


@pytest.fixture
def clock() -> Iterator[Paced]:
    clock = Paced()
    yield clock
    clock.wake.release(1000)


def begun(clock: Paced, patience: timedelta = timedelta(hours=1)) -> tuple[Away, Lease, Renewals]:
    journal = Away()
    lease = journal.acquire("flights", SOMEWHERE, clock.now(), MINUTE)
    renewals = Renewals(journal, clock)
    renewals.keep(lease, MINUTE, patience)
    return journal, lease, renewals


def test_a_lease_outlives_its_time_while_its_holder_works(clock: Paced) -> None:
    journal, _, renewals = begun(clock)
    for _ in range(30):
        clock.pass_until_next()
    assert clock.asleep.acquire(timeout=60)
    assert clock.monotonic() == 600
    assert journal.holder("flights", clock.now()) == SOMEWHERE
    assert renewals.kept == ("flights",)


def test_a_holder_that_hangs_in_one_step_loses_it(clock: Paced) -> None:
    journal, _, renewals = begun(clock, patience=timedelta(minutes=5))
    thread: Any = renewals._thread
    for _ in range(15):
        clock.pass_until_next()
    thread.join(60)
    assert renewals.kept == ()
    assert journal.holder("flights", clock.now()) == SOMEWHERE
    clock.advance(MINUTE)
    assert journal.acquire("flights", ELSEWHERE, clock.now(), MINUTE).holder == ELSEWHERE


@pytest.mark.parametrize("end", ["given back", "taken over"])
def test_a_lease_that_is_had_no_more_is_left_alone_and_the_thread_ends(clock: Paced, end: str) -> None:
    journal, lease, renewals = begun(clock)
    if end == "given back":
        journal.release(lease)
    else:
        clock.advance(MINUTE)
        journal.acquire("flights", ELSEWHERE, clock.now(), MINUTE)
    thread: Any = renewals._thread
    clock.pass_until_next()
    thread.join(60)
    assert not thread.is_alive()
    assert renewals.kept == ()
    assert (renewals.last("flights"), renewals.last("bikes")) == (lease, None)
    assert journal.holder("flights", clock.now()) in {None, ELSEWHERE}
    again = Away()
    renewals.keep(again.acquire("bikes", SOMEWHERE, clock.now(), MINUTE), MINUTE, MINUTE)
    assert renewals.kept == ("bikes",)


def test_a_journal_that_is_away_for_two_rounds_costs_nothing(clock: Paced) -> None:
    journal, lease, _ = begun(clock)
    journal.away = True
    clock.pass_until_next()
    clock.pass_until_next()
    assert clock.asleep.acquire(timeout=60)
    assert journal.holder("flights", clock.now()) == SOMEWHERE
    journal.away = False
    clock.asleep.release()
    clock.pass_until_next()
    assert clock.asleep.acquire(timeout=60)
    clock.advance(MINUTE / 2)
    assert journal.holder("flights", clock.now()) == SOMEWHERE
    with pytest.raises(Busy):
        journal.acquire("flights", ELSEWHERE, clock.now(), MINUTE)
    journal.renew(lease, clock.now(), MINUTE)


def test_a_fork_renews_what_it_took_itself_and_nothing_of_its_parent(clock: Paced) -> None:
    _, _, renewals = begun(clock)
    if (child := os.fork()) == 0:
        own = InMemoryJournal()
        renewals.keep(own.acquire("bikes", SOMEWHERE, clock.now(), MINUTE), MINUTE, MINUTE)
        os._exit(0 if renewals.kept == ("bikes",) and renewals._thread is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert renewals.kept == ("flights",)


def test_a_fork_that_copied_a_held_lock_waits_for_nobody_and_knows_no_lease_of_its_parent(clock: Paced) -> None:
    _, _, renewals = begun(clock)
    with renewals._lock:
        if (child := os.fork()) == 0:
            os._exit(0 if renewals.last("flights") is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert renewals.last("flights") is not None
