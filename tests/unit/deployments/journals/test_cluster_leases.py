"""One writer of a product: take-overs, late writers, and those who begin at once."""

import multiprocessing
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from deployments.analysis.evidence import Block
from deployments.cluster import Cluster
from deployments.errors import Busy
from deployments.journals.kubernetes import ClusterJournal
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import (
    ANN,
    BOB,
    FIRST,
    NOW,
    TTL,
    Killed,
    Watched,
    block,
    ended,
    rollout,
    won,
)


def test_of_two_processes_that_begin_at_once_exactly_one_gets_the_lease_fifty_times(
    api: FakeKubernetes, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate, results, where = spawn.Barrier(2), spawn.Queue(), api.kubeconfig(tmp_path / "kubeconfig")
    both = [spawn.Process(target=won, args=(where, number, 50, gate, results)) for number in range(2)]
    for process in both:
        process.start()
    got = [results.get(timeout=60) for _ in both]
    for process in both:
        process.join()
    assert sorted(got[0] + got[1]) == [(product, FIRST) for product in range(50)]


def test_another_host_cannot_see_a_holder_gone_only_its_time_decides(a_cluster: Callable[[], Cluster]) -> None:
    ClusterJournal(a_cluster()).acquire("flights", ANN, NOW, TTL)
    journal = ClusterJournal(a_cluster())
    with pytest.raises(Busy, match="process 1 on host-a"):
        journal.acquire("flights", BOB, NOW + TTL - TTL / 30, TTL)
    assert journal.acquire("flights", BOB, NOW + TTL, TTL).token > FIRST


@pytest.mark.parametrize("seen", [None, block(1)], ids=["a state", "a block with it"])
@pytest.mark.parametrize(
    ("known", "asleep"),
    [(True, 1), (False, 1), (False, 2)],
    ids=["before it writes", "before it says what it will write", "before it makes a new rollout"],
)
def test_a_writer_that_sleeps_through_a_take_over_in_the_middle_of_its_write_changes_nothing(
    a_cluster: Callable[[], Watched], known: bool, asleep: int, seen: Block | None
) -> None:
    late, theirs = a_cluster(), ClusterJournal(a_cluster())
    mine = ClusterJournal(late)
    lease = mine.acquire("flights", ANN, NOW, TTL)
    if known:
        mine.save(ended(rollout()), lease)
    before, moment = theirs.rollouts("flights"), late.writes + asleep

    def overslept(number: int) -> None:
        if number == moment:
            theirs.acquire("flights", BOB, NOW + TTL, TTL)

    late.before = overslept
    with pytest.raises(Busy, match="is over"):
        mine.save(rollout(), lease, seen)
    assert late.writes >= moment
    assert theirs.rollouts("flights") == before
    assert theirs.evidence("r1") == ()


def test_who_was_taken_over_is_told_so_even_if_it_has_nothing_new_to_write(a_cluster: Callable[[], Watched]) -> None:
    late = ClusterJournal(a_cluster())
    lease = late.acquire("flights", ANN, NOW, TTL)
    late.save(rollout(), lease)
    ClusterJournal(a_cluster()).acquire("flights", BOB, NOW + TTL, TTL)
    with pytest.raises(Busy, match="is over"):
        late.save(rollout(), lease)


def test_a_take_over_that_broke_off_is_finished_by_the_next_call(
    a_cluster: Callable[[], Watched], api: FakeKubernetes
) -> None:
    late, theirs = ClusterJournal(a_cluster()), a_cluster()
    lease = late.acquire("flights", ANN, NOW, TTL)
    late.save(rollout(), lease)

    def broken(number: int) -> None:
        if number == 2:
            raise Killed

    theirs.before = broken
    journal = ClusterJournal(theirs)
    with pytest.raises(Killed):
        journal.acquire("flights", BOB, NOW + TTL, TTL)
    assert journal.acquire("flights", BOB, NOW + TTL, TTL).token > FIRST
    with pytest.raises(Busy, match="is over"):
        late.save(ended(rollout()), lease)
    assert journal.rollouts("flights") == (rollout(),)


def test_a_lease_is_renewed_when_a_third_of_its_time_is_over_or_the_clock_was_set_back(
    a_cluster: Callable[[], Watched],
) -> None:
    mine, theirs = a_cluster(), ClusterJournal(a_cluster())
    journal = ClusterJournal(mine)

    def renewed(now: datetime) -> int:
        before = mine.writes
        assert journal.acquire("flights", ANN, now, TTL).token == FIRST
        return mine.writes - before

    assert [renewed(NOW), renewed(NOW + TTL / 3), renewed(NOW + TTL / 2.9), renewed(NOW)] == [1, 0, 1, 1]
    assert theirs.holder("flights", NOW + TTL - TTL / 100) == ANN


def test_a_lease_that_was_lost_in_the_meantime_is_not_answered_from_memory(a_cluster: Callable[[], Watched]) -> None:
    mine, theirs = ClusterJournal(a_cluster()), ClusterJournal(a_cluster())
    mine.acquire("flights", ANN, NOW, TTL)
    lease = theirs.acquire("flights", BOB, NOW + TTL, TTL)
    with pytest.raises(Busy, match="host-b"):
        mine.acquire("flights", ANN, NOW + TTL, TTL)
    theirs.release(lease)
    assert mine.acquire("flights", ANN, NOW + TTL, TTL).token == lease.token + 1


def test_two_holders_of_one_process_are_told_apart(a_cluster: Callable[[], Watched]) -> None:
    journal, elsewhere = ClusterJournal(a_cluster()), ClusterJournal(a_cluster())
    elsewhere.release(journal.acquire("flights", ANN, NOW, TTL))
    assert journal.acquire("flights", BOB, NOW, TTL).token == FIRST + 1


def test_a_lease_that_somebody_removed_begins_above_every_token_that_was_given_out(
    api: FakeKubernetes, a_cluster: Callable[[], Watched]
) -> None:
    late = ClusterJournal(a_cluster())
    for _ in range(3):
        lease = late.acquire("flights", ANN, NOW, TTL)
        late.save(rollout(), lease)
        late.release(lease)
    lease = late.acquire("flights", ANN, NOW, TTL)
    late.save(rollout(), lease)
    api.remove("Lease", "seatrial-flights")
    journal = ClusterJournal(a_cluster())
    theirs = journal.acquire("flights", BOB, NOW, TTL)
    assert theirs.token == lease.token + 1
    with pytest.raises(Busy, match="is over"):
        late.save(ended(rollout()), lease)
    journal.save(rollout().with_step_done(NOW), theirs)
    assert journal.rollouts("flights") == (rollout().with_step_done(NOW),)
