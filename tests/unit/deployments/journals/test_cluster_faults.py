"""Conflicts, answers that get lost, and a server that is away or forgets: nothing is lost or doubled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from deployments.errors import JournalUnreachable
from deployments.journals.kubernetes import ClusterJournal
from deployments.rollout.operator_commands import Verb
from tests.fakes.kubernetes import FakeKubernetes, Request
from tests.unit.deployments.journals.runners import (
    ANN,
    FIRST,
    NOW,
    TTL,
    Watched,
    block,
    ended,
    event,
    names,
    rollout,
)


@pytest.mark.parametrize("resource", ["leases", "configmaps"])
def test_conflicts_without_end_mean_try_again_and_nothing_is_written(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], resource: str
) -> None:
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    journal.save(rollout(), lease)
    journal.record(event(1))
    journal.give("r1", Verb.PAUSE, "ann", "", NOW)
    api.faults.conflict_on(resource)
    writes: dict[str, list[Callable[[], object]]] = {
        "leases": [lambda: journal.acquire("flights", ANN, NOW + TTL / 2, TTL), lambda: journal.release(lease)],
        "configmaps": [
            lambda: journal.save(ended(rollout()), lease),
            lambda: journal.save(rollout(), lease, block(1)),
            lambda: journal.record(event(2)),
            lambda: journal.give("r1", Verb.ABORT, "ann", "", NOW),
        ],
    }
    for write in writes[resource]:
        with pytest.raises(JournalUnreachable, match="quicker 50 times"):
            write()
    api.faults.heal()
    fresh = ClusterJournal(a_cluster())
    assert fresh.holder("flights", NOW) == ANN
    assert (fresh.rollouts("flights"), fresh.evidence("r1")) == ((rollout(),), ())
    assert (fresh.events(), len(fresh.orders("r1"))) == ((event(1),), 1)


def test_writers_who_are_always_a_moment_too_late_lose_and_double_nothing(
    a_cluster: Callable[[], Watched], small_chunks: None
) -> None:
    one, other = ClusterJournal(a_cluster()), ClusterJournal(a_cluster())
    for number in range(20):
        (one if number % 2 else other).record(event(number))
        (one if number % 3 else other).give("r1", Verb.PAUSE, "ann", str(number), NOW)
    assert one.events() == other.events("flights") == tuple(event(number) for number in range(20))
    orders = one.orders("r1")
    assert [(order.number, order.reason) for order in orders] == [(number + 1, str(number)) for number in range(20)]
    assert [one.orders("r1", after) for after in range(20)] == [orders[after:] for after in range(20)]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_was_written_though_the_answer_got_lost_is_there_once(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], method: str, small_chunks: None
) -> None:
    journal = ClusterJournal(a_cluster())

    def losing(act: Callable[[], object]) -> None:
        api.faults.lose_next_answers(1, method)
        act()
        api.faults.heal()

    losing(lambda: journal.acquire("flights", ANN, NOW, TTL))
    lease = journal.acquire("flights", ANN, NOW, TTL)
    assert lease.token == FIRST
    losing(lambda: journal.save(rollout(), lease))
    later = rollout().with_step_done(NOW)
    losing(lambda: journal.save(later, lease))
    for number in range(4):
        losing(lambda number=number: journal.save(later, lease, block(number)))  # type: ignore[misc]
        losing(lambda number=number: journal.record(event(number)))  # type: ignore[misc]
        losing(lambda: journal.give("r1", Verb.PAUSE, "ann", "", NOW))
    assert journal.rollouts("flights") == (later,)
    assert journal.evidence("r1") == tuple(map(block, range(4)))
    assert journal.events() == tuple(map(event, range(4)))
    assert [order.number for order in journal.orders("r1")] == [1, 2, 3, 4]
    losing(lambda: journal.release(lease))
    assert journal.holder("flights", NOW) is None


def test_a_lost_answer_is_recognized_even_when_others_wrote_and_filled_the_chunk_meanwhile(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None
) -> None:
    journal, rival = ClusterJournal(a_cluster()), ClusterJournal(a_cluster())
    journal.record(event(0))
    puts: list[Request] = []

    def meanwhile(request: Request) -> None:
        if request.method == "PUT" and len(puts) < 2:
            puts.append(request)
            if len(puts) == 2:  # ours, sent again
                puts.append(request)
                for number in range(2, 8):
                    rival.record(event(number))

    api.faults.before_each = meanwhile
    api.faults.lose_next_answers(1, "PUT")
    journal.record(event(1))
    assert len(names(api)) > 1
    assert rival.events() == tuple(map(event, range(8)))


def test_while_the_server_is_away_every_call_says_try_again_and_then_goes_on(
    api: FakeKubernetes, a_cluster: Callable[[], Watched]
) -> None:
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    journal.save(rollout(), lease)
    calls: list[Callable[[], object]] = [
        lambda: journal.acquire("flights", ANN, NOW + TTL / 2, TTL),
        lambda: journal.release(lease),
        lambda: journal.save(rollout(), lease),
        lambda: journal.save(rollout(), lease, block(1)),
        lambda: journal.rollout("flights", "r1"),
        lambda: journal.rollouts("flights"),
        lambda: journal.holder("flights", NOW),
        journal.under_way,
        lambda: journal.evidence("r1"),
        lambda: journal.give("r1", Verb.PAUSE, "ann", "", NOW),
        lambda: journal.orders("r1"),
        lambda: journal.record(event(1)),
        journal.events,
    ]

    def raised(call: Callable[[], object]) -> str:
        with pytest.raises(JournalUnreachable) as caught:
            call()
        return str(caught.value)

    with api.away(), ThreadPoolExecutor(len(calls)) as at_once:
        assert all("does not answer" in said for said in at_once.map(raised, calls))
    lease = journal.acquire("flights", ANN, NOW + TTL / 2, TTL)
    journal.save(ended(rollout()), lease)
    assert (lease.token, journal.rollouts("flights")) == (FIRST, (ended(rollout()),))


def test_a_list_that_the_server_forgets_between_two_pages_is_read_again(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cluster.resource_client._PAGE", 2)
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    states = [rollout(f"r{number}", NOW + number * TTL) for number in range(5)]
    for state in states:
        journal.save(state, lease)
    forgotten: list[Request] = []

    def forget(request: Request) -> None:
        if request.query.get("continue") and not forgotten:
            forgotten.append(request)
            journal.record(event(1))
            api.compact()

    api.faults.before_each = forget
    assert journal.under_way() == tuple(states)
    assert forgotten
