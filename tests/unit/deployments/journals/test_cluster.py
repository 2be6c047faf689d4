"""What only a journal of many objects can get wrong: half-done writes, late ones, doubled ones, and too much of it."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from deployments.cluster import Cluster
from deployments.errors import Busy, ClusterRefused, JournalUnreachable, NotFound
from deployments.journals.cluster import ClusterJournal
from deployments.journals.protocol import Event
from deployments.rollout.orders import Verb
from tests.fakes.kubernetes import FakeKubernetes, Request
from tests.unit.deployments.journals.runners import ANN, BOB, NOW, TTL, Killed, Watched, block, ended, rollout, won

RIGHTS = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "update", "delete"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
]


@pytest.fixture
def api() -> Iterator[FakeKubernetes]:
    with FakeKubernetes(controllers=False) as api:
        yield api


@pytest.fixture
def a_cluster(api: FakeKubernetes, tmp_path: Path) -> Callable[[], Watched]:
    return lambda: Watched.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks, or three events, and a chunk is full."""
    monkeypatch.setattr("deployments.journals.cluster.lines.FULL", 500)


def event(number: int, run: str = "r1") -> Event:
    return Event("flights", run, NOW + number * TTL, "step.done", {"number": number, "said": "x" * 50})


def names(api: FakeKubernetes) -> list[str]:
    return sorted(each["metadata"]["name"] for each in api.objects("ConfigMap"))


def test_a_save_or_a_block_is_one_call_and_a_lease_two(a_cluster: Callable[[], Watched]) -> None:
    cluster = a_cluster()
    journal = ClusterJournal(cluster)
    lease = journal.acquire("flights", ANN, NOW, TTL)
    journal.save(rollout(), lease)

    def calls(act: Callable[[], object]) -> int:
        before = cluster.calls.total()
        act()
        return cluster.calls.total() - before

    assert calls(lambda: journal.save(rollout().with_step_done(NOW), lease)) == 1
    assert calls(lambda: journal.keep("r1", block(1), lease)) == 1
    assert calls(lambda: journal.acquire("flights", ANN, NOW, TTL)) == 2
    assert calls(lambda: journal.orders("r1")) == 1
    journal.record(event(1))
    assert calls(lambda: journal.record(event(2))) == 1


def test_all_of_it_needs_few_rights_only(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.cluster.journal.EVENTS_KEPT", 5)
    monkeypatch.setattr("deployments.journals.cluster.journal.ROLLOUTS_KEPT", 0)
    api.faults.permit_only(RIGHTS)
    journal = ClusterJournal(a_cluster())
    work(journal, ANN)
    journal.save(rollout("r2"), journal.acquire("flights", ANN, NOW, TTL))
    assert journal.under_way() == (rollout("r2"),)


def test_a_missing_right_is_named(api: FakeKubernetes, a_cluster: Callable[[], Watched]) -> None:
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    api.faults.forbid("create", "configmaps")
    with pytest.raises(ClusterRefused, match='cannot create resource "configmaps"'):
        journal.save(rollout(), lease)


@pytest.mark.parametrize("kind", ["Lease", "ConfigMap"])
def test_an_object_of_somebody_else_is_left_alone(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], kind: str
) -> None:
    name = "seatrial-flights" if kind == "Lease" else "seatrial-events-flights"
    version = "coordination.k8s.io/v1" if kind == "Lease" else "v1"
    theirs = api.put({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}})
    journal = ClusterJournal(a_cluster())
    with pytest.raises(ClusterRefused, match=f"{name} in namespace default is not ours"):
        journal.acquire("flights", ANN, NOW, TTL) if kind == "Lease" else journal.record(event(1))
    assert api.object(kind, name) == theirs


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
            lambda: journal.keep("r1", block(1), lease),
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
    assert lease.token == 1
    losing(lambda: journal.save(rollout(), lease))
    losing(lambda: journal.save(rollout().with_step_done(NOW), lease))
    for number in range(4):
        losing(lambda number=number: journal.keep("r1", block(number), lease))  # type: ignore[misc]
        losing(lambda number=number: journal.record(event(number)))  # type: ignore[misc]
        losing(lambda: journal.give("r1", Verb.PAUSE, "ann", "", NOW))
    assert journal.rollouts("flights") == (rollout().with_step_done(NOW),)
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
        lambda: journal.keep("r1", block(1), lease),
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
    assert (lease.token, journal.rollouts("flights")) == (1, (ended(rollout()),))


def test_a_list_that_the_server_forgets_between_two_pages_is_read_again(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.cluster.client._PAGE", 2)
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
    assert sorted(got[0] + got[1]) == [(product, 1) for product in range(50)]


def work(journal: ClusterJournal, holder: Any) -> None:
    """All that a rollout writes, with chunks that fill up."""
    lease = journal.acquire("flights", holder, NOW, TTL)
    journal.save(rollout(), lease)
    for number in range(6):
        journal.keep("r1", block(number), lease)
        journal.record(event(number))
    journal.give("r1", Verb.ABORT, "ann", "", NOW)
    journal.save(ended(rollout()), lease)
    journal.release(lease)


def listed_chunks(api: FakeKubernetes) -> set[str]:
    heads = (each for each in api.objects("ConfigMap") if "chunks" in each.get("data", {}))
    return {name for head in heads for name, _ in json.loads(head["data"]["chunks"])}


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
        journal.keep("r1", block(number), lease)
    journal.save(ended(rollout()), lease)
    for number in range(len(told), 9):
        journal.record(event(number))
    assert journal.evidence("r1") == tuple(map(block, range(9)))
    assert journal.events() == tuple(map(event, range(9)))
    assert journal.rollouts("flights") == (ended(rollout()),)
    assert {name for name in names(api) if "." in name} == listed_chunks(api), "nothing is left over"


@pytest.mark.parametrize("write", ["save", "keep"])
@pytest.mark.parametrize(
    ("known", "asleep"),
    [(True, 1), (False, 1), (False, 2)],
    ids=["before it writes", "before it says what it will write", "before it makes a new rollout"],
)
def test_a_writer_that_sleeps_through_a_take_over_in_the_middle_of_its_write_changes_nothing(
    a_cluster: Callable[[], Watched], known: bool, asleep: int, write: str
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
        mine.save(rollout(), lease) if write == "save" else mine.keep("r1", block(1), lease)
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
    assert journal.acquire("flights", BOB, NOW + TTL, TTL).token == 2
    with pytest.raises(Busy, match="is over"):
        late.save(ended(rollout()), lease)
    assert journal.rollouts("flights") == (rollout(),)


def test_of_old_events_the_newest_stay_and_those_since_the_oldest_of_a_rollout_under_way(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.cluster.journal.EVENTS_KEPT", 10)
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    for number in range(30):
        journal.record(event(number, "over"))
    assert journal.events() == tuple(event(number, "over") for number in range(30))[-len(journal.events()) :]
    assert 10 <= len(journal.events()) <= 16
    journal.save(rollout(), lease)
    journal.record(event(30, "r1"))
    for number in range(31, 80):
        journal.record(event(number, "over"))
    assert event(30, "r1") in journal.events()
    assert len(journal.events()) < 56
    journal.save(ended(rollout()), lease)
    for number in range(80, 90):
        journal.record(event(number, "over"))
    assert len(journal.events()) <= 16
    assert journal.events()[-1] == ClusterJournal(a_cluster()).events("flights")[-1] == event(89, "over")
    assert len(names(api)) < 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_whoever_is_killed_while_it_clears_up_leaves_the_newest_events_and_nothing_else(
    api: FakeKubernetes,
    a_cluster: Callable[[], Watched],
    small_chunks: None,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    monkeypatch.setattr("deployments.journals.cluster.journal.EVENTS_KEPT", 5)
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


def test_the_oldest_rollouts_go_with_all_that_belongs_to_them(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.cluster.journal.ROLLOUTS_KEPT", 2)
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    states = [rollout(f"r{number}", NOW + number * TTL) for number in range(5)]
    for state in states:
        journal.save(state, lease)
        journal.give(state.rollout_id, Verb.ABORT, "ann", "", NOW)
        for number in range(4):
            journal.keep(state.rollout_id, block(number), lease)
        journal.save(ended(state), lease)
    assert [state.rollout_id for state in journal.rollouts("flights")] == ["r4", "r3", "r2"]
    assert not [name for name in names(api) if "-r0" in name or "-r1" in name]
    with pytest.raises(NotFound):
        journal.rollout("flights", "r0")


def test_ids_that_are_no_names_of_a_cluster_do_as_well(api: FakeKubernetes, a_cluster: Callable[[], Watched]) -> None:
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    strange = ["R1", "r1/2", "ümlaut", "r" * 64, "-"]
    for number, rollout_id in enumerate(strange):
        journal.save(rollout(rollout_id, NOW + number * TTL), lease)
        journal.give(rollout_id, Verb.PAUSE, "ann", "", NOW)
    assert [state.rollout_id for state in journal.under_way()] == strange
    assert all(len(journal.orders(rollout_id)) == 1 for rollout_id in strange)


def test_every_object_stays_far_below_what_a_cluster_takes(
    api: FakeKubernetes, a_cluster: Callable[[], Watched]
) -> None:
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    journal.save(rollout(), lease)
    for number in range(600):
        journal.keep("r1", block(number), lease)
    assert len(names(api)) > 1
    assert max(len(json.dumps(each)) for each in api.objects("ConfigMap")) < 100_000
    assert journal.evidence("r1") == tuple(map(block, range(600)))


def test_a_journal_that_was_closed_before_a_fork_opens_connections_of_its_own(a_cluster: Callable[[], Watched]) -> None:
    journal = ClusterJournal(a_cluster())
    journal.record(event(1))
    journal.close()
    journal.record(event(2))
    assert journal.events() == (event(1), event(2))


def test_another_host_cannot_see_a_holder_gone_only_its_time_decides(a_cluster: Callable[[], Cluster]) -> None:
    ClusterJournal(a_cluster()).acquire("flights", ANN, NOW, TTL)
    journal = ClusterJournal(a_cluster())
    with pytest.raises(Busy, match="process 1 on host-a"):
        journal.acquire("flights", BOB, NOW + TTL - TTL / 30, TTL)
    assert journal.acquire("flights", BOB, NOW + TTL, TTL).token == 2
