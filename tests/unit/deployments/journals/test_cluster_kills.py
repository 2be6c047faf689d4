"""Whoever is killed between two objects leaves a journal to carry on with."""

from collections.abc import Callable

import pytest

from deployments.journals.kubernetes import ClusterJournal
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import (
    ANN,
    BOB,
    NOW,
    TTL,
    Killed,
    Watched,
    block,
    ended,
    event,
    listed_chunks,
    names,
    rollout,
    work,
)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_is_killed_at_any_write_leaves_a_journal_to_carry_on_with(
    a_cluster: Callable[[], Watched], small_chunks: None, moment: str, api: FakeKubernetes
) -> None:
    counting = a_cluster()
    work(ClusterJournal(counting), ANN)
    assert counting.writes > 20
    for last in range(1, counting.writes + 1):
        for name in names(api):
            api.remove("ConfigMap", name)
        if api.object("Lease", "seatrial-flights"):
            api.remove("Lease", "seatrial-flights")
        killed = a_cluster()

        def die(number: int, last: int = last) -> None:
            if number == last:
                raise Killed

        setattr(killed, moment, die)
        with pytest.raises(Killed):
            work(ClusterJournal(killed), ANN)
        _carries_on(ClusterJournal(a_cluster()), api)


def _carries_on(journal: ClusterJournal, api: FakeKubernetes) -> None:
    kept, told = journal.evidence("r1"), journal.events()
    assert kept == tuple(map(block, range(len(kept))))
    assert told == tuple(map(event, range(len(told))))
    assert len(kept) - len(told) in {0, 1}
    assert journal.rollouts("flights") in [(), (rollout(),), (ended(rollout()),)]
    lease = journal.acquire("flights", BOB, NOW + TTL, TTL)
    for number in range(len(kept), 9):
        journal.save(rollout(), lease, block(number))
    journal.save(ended(rollout()), lease)
    for number in range(len(told), 9):
        journal.record(event(number))
    assert journal.evidence("r1") == tuple(map(block, range(9)))
    assert journal.events() == tuple(map(event, range(9)))
    assert journal.rollouts("flights") == (ended(rollout()),)
    assert {name for name in names(api) if "." in name} == listed_chunks(api), "nothing is left over"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_is_killed_while_it_clears_up_leaves_the_newest_events_and_nothing_else(
    api: FakeKubernetes,
    a_cluster: Callable[[], Watched],
    small_chunks: None,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    monkeypatch.setattr("deployments.journals.kubernetes.journal.EVENTS_KEPT", 5)
    number = 0
    for last in range(1, 12):
        killed = a_cluster()

        def die(write: int, last: int = last) -> None:
            if write == last:
                raise Killed

        setattr(killed, moment, die)
        with pytest.raises(Killed):
            for number in range(number, number + 12):  # noqa: B020 - goes on where the one before was killed
                ClusterJournal(killed).record(event(number))
        fresh = ClusterJournal(a_cluster())
        number = int(fresh.events()[-1].detail["number"]) + 1 if fresh.events() else 0
    for number in range(number, number + 12):  # noqa: B020
        fresh.record(event(number))
    told = fresh.events()
    assert told == tuple(map(event, range(number + 1)))[-len(told) :]
    assert 5 <= len(told) <= 12
    assert set(names(api)) == {"seatrial-events-flights"} | listed_chunks(api)
