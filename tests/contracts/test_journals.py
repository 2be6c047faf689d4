"""One suite for every journal: what a crash, a rival or a restart may not break."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.errors import BadInput, Busy, PlatformUnreachable
from deployments.journals.database import DatabaseJournal
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.protocol import Event, Journal
from deployments.owner import Owner, this_process
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Launch, Promote, Retire, Shift, Verify
from deployments.traffic import Weights

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TTL = timedelta(seconds=30)
ELSEWHERE = Owner("another-host", 1, 0.0)
DEAD = Owner(this_process().host, 2**22 + 7, 1.0)


@pytest.fixture(params=["in_memory", "database"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "in_memory":
        yield InMemoryJournal()
        return
    database = DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}")
    yield database
    database.close()


def rollout(rollout_id: str = "r1", started_at: datetime = NOW) -> RolloutState:
    steps = (Launch(2, 3), Verify(2), Shift(Weights({1: 10, 2: 90})), Promote(2), Retire(1))
    return RolloutState(rollout_id, "flights", 2, 1, "rolling", steps, 0, Phase.RUNNING, "", started_at, started_at)


def test_a_saved_rollout_reads_back_equal(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    journal.save(rollout(), lease)
    assert journal.rollouts("flights") == (rollout(),)


def test_saving_again_replaces_the_state_of_that_rollout_only(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    later = rollout("r2", NOW + timedelta(hours=1))
    journal.save(rollout(), lease)
    journal.save(later, lease)
    journal.save(rollout().with_step_done(NOW), lease)
    assert journal.rollouts("flights") == (later, rollout().with_step_done(NOW))


def test_a_second_holder_is_told_who_holds_the_lease(journal: Journal) -> None:
    journal.acquire("flights", ELSEWHERE, NOW, TTL)
    with pytest.raises(Busy, match="another-host"):
        journal.acquire("flights", this_process(), NOW, TTL)


def test_the_same_holder_renews_its_lease(journal: Journal) -> None:
    first = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    assert journal.acquire("flights", ELSEWHERE, NOW + TTL / 2, TTL) == first
    with pytest.raises(Busy):
        journal.acquire("flights", this_process(), NOW + TTL, TTL)


def test_the_lease_of_a_dead_process_is_taken_over_at_once(journal: Journal) -> None:
    dead = journal.acquire("flights", DEAD, NOW, TTL)
    assert journal.acquire("flights", this_process(), NOW, TTL).token > dead.token


def test_a_late_writer_is_refused_and_nothing_is_written(journal: Journal) -> None:
    late = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    journal.acquire("flights", this_process(), NOW + TTL, TTL)
    with pytest.raises(Busy, match="taken over"):
        journal.save(rollout(), late)
    assert journal.rollouts("flights") == ()


def test_a_released_lease_is_free_and_a_late_release_harms_nobody(journal: Journal) -> None:
    first = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    journal.release(first)
    second = journal.acquire("flights", this_process(), NOW, TTL)
    journal.release(first)
    journal.save(rollout(), second)
    assert journal.rollouts("flights")


def test_products_do_not_disturb_each_other(journal: Journal) -> None:
    journal.acquire("flights", ELSEWHERE, NOW, TTL)
    assert journal.acquire("bikeshare", this_process(), NOW, TTL).token == 1


def test_events_come_back_in_order_with_their_facts(journal: Journal) -> None:
    first = Event("flights", "r1", NOW, "gate.refused", {"reasons": ["roc_auc 0.5 is below 0.6"]})
    second = Event("bikeshare", "r2", NOW, "rollout.done", {"version": 3})
    journal.record(first)
    journal.record(second)
    assert journal.events() == (first, second)
    assert journal.events("flights") == (first,)


def test_a_database_survives_its_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    before = DatabaseJournal(url)
    before.save(rollout(), before.acquire("flights", this_process(), NOW, TTL))
    before.close()
    after = DatabaseJournal(url)
    assert after.rollouts("flights") == (rollout(),)
    after.close()


def test_a_database_that_cannot_be_opened_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(PlatformUnreachable, match=r"journal\.db.*SEATRIAL_JOURNAL_URL"):
        DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://ann:hunter2@127.0.0.1:9/journal", "needs the driver psycopg2: install it"),
        ("nonsense-hunter2", "holds no database URL"),
        ("no-such-kind://ann:hunter2@host/journal", "holds no database URL"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_do_without_its_password(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        DatabaseJournal(url)
    assert "hunter2" not in str(caught.value)
