"""One run of a product trains at a time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployments.clock import ManualClock
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.protocol import Lease
from deployments.process_identity import Owner, this_process
from tasks import training_turn
from tasks.training_turn import _alone, lease_key

NOW = datetime(2026, 12, 1, tzinfo=UTC)
# A process of another machine: of it nothing is known but its lease.
OTHER = Owner("elsewhere", 7, 1.0)


class Ending(ManualClock):
    """After three pauses whoever trains gives its lease back."""

    def __init__(self, journal: InMemoryJournal, lease: Lease) -> None:
        super().__init__(NOW)
        self.pauses, self._journal, self._lease = 0, journal, lease

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        self.pauses += 1
        if self.pauses == 3:
            self._journal.release(self._lease)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of waiting, as event and as state of the run."""
    said: list[str] = []
    monkeypatch.setattr(training_turn, "tell", lambda event, **facts: said.append(f"{event} {facts['waits_for']}"))
    monkeypatch.setattr(training_turn, "show_present_run_as", lambda name, message: said.append(f"{name} {message}"))
    return said


def test_a_second_run_of_a_product_waits_says_so_and_goes_on(said: list[str]) -> None:
    journal = InMemoryJournal()
    lease = journal.acquire(lease_key("shop"), OTHER, NOW, timedelta(hours=1))
    clock = Ending(journal, lease)
    with _alone("shop", journal, clock):
        assert clock.pauses == 3
        assert journal.holder(lease_key("shop"), clock.now()) == this_process()
    assert journal.holder(lease_key("shop"), clock.now()) is None
    waits = "another run that trains shop (process 7 on elsewhere)"
    assert said == [f"training.waiting {waits}", f"Waiting waits for {waits}", "Running "]


def test_a_run_whose_training_raises_gives_its_turn_back(said: list[str]) -> None:
    journal = InMemoryJournal()
    with pytest.raises(ZeroDivisionError), _alone("shop", journal, ManualClock(NOW)):
        raise ZeroDivisionError
    assert journal.holder(lease_key("shop"), NOW) is None
    assert said == []


def test_other_products_and_the_rollout_of_the_same_one_are_in_nobodys_way(said: list[str]) -> None:
    journal, gone = InMemoryJournal(), replace(OTHER, pid=8)
    journal.acquire("shop", gone, NOW, timedelta(hours=1))
    journal.acquire(lease_key("bikes"), OTHER, NOW, timedelta(hours=1))
    with _alone("shop", journal, ManualClock(NOW)):
        assert said == []


def test_the_lease_has_a_name_that_no_product_has_and_a_journal_takes() -> None:
    names = [lease_key("x" * length) for length in range(1, 41)]
    assert all(len(name) <= 40 and ":" in name for name in names)
    assert len(set(names)) == 40
