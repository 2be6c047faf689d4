"""One suite for every journal: what a crash, a rival or a restart may not break."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Pairs, Sums
from deployments.cluster import Cluster
from deployments.errors import BadInput, Busy, NotFound, PlatformUnreachable
from deployments.journals.database import DatabaseJournal
from deployments.journals.in_memory import InMemoryJournal
from deployments.journals.kubernetes import ClusterJournal
from deployments.journals.protocol import Event, Journal
from deployments.process_identity import Owner, this_process
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from tasks.training_turn import lease_key
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.rollout.a_rollout import rollout as a_rollout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TTL = timedelta(seconds=30)
# Later than any clock of these tests tells.
FAR = 2**29
ELSEWHERE = Owner("another-host", 1, 0.0)
DEAD = replace(this_process(), pid=2**22 + 7)
# As journals of earlier releases name a process of this host.
OLD = Owner(this_process().host, 2**22 + 7, 1.0)
SAME_NAME = replace(this_process(), pid=2**22 + 7, namespace="4026532999")


@pytest.fixture(params=["in_memory", "database", "cluster"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "in_memory":
        yield InMemoryJournal()
        return
    if request.param == "cluster":
        with FakeKubernetes(controllers=False) as api:
            cluster = ClusterJournal(Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig")))
            yield cluster
            cluster.close()
        return
    database = DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}")
    yield database
    database.close()


def rollout(rollout_id: str = "r1", started_at: datetime = NOW) -> RolloutState:
    state = a_rollout(Phase.OBSERVING, 3, rollout_id=rollout_id, observed=timedelta(seconds=1.5), orders_done=4)
    return replace(state, started_at=started_at, updated_at=started_at)


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
    assert journal.rollout("flights", "r2") == later


def test_a_rollout_that_begins_again_is_the_newest(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    journal.save(rollout(), lease)
    journal.save(rollout("r2", NOW + timedelta(hours=1)), lease)
    journal.save(rollout("r1", NOW + timedelta(hours=2)), lease)
    assert [state.rollout_id for state in journal.rollouts("flights")] == ["r1", "r2"]


@pytest.mark.parametrize(("product", "rollout_id"), [("flights", "r9"), ("bikeshare", "r1")])
def test_an_unknown_rollout_is_named(journal: Journal, product: str, rollout_id: str) -> None:
    journal.save(rollout(), journal.acquire("flights", this_process(), NOW, TTL))
    with pytest.raises(NotFound, match=f"{product} has no rollout '{rollout_id}'"):
        journal.rollout(product, rollout_id)


def test_the_newest_rollout_of_every_product(journal: Journal) -> None:
    assert journal.newest() == ()
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    newer = rollout("r2", NOW + timedelta(hours=1))
    for each in (newer, rollout("r1")):
        journal.save(each, lease)
    other = replace(rollout("r3"), product="bikes")
    journal.save(other, journal.acquire("bikes", this_process(), NOW, TTL))
    assert journal.newest() == (other, newer)


def test_rollouts_under_way_are_those_of_all_products_that_have_not_ended(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    later = replace(rollout("r2", NOW + timedelta(hours=1)), product="bikeshare")
    journal.save(later, journal.acquire("bikeshare", this_process(), NOW, TTL))
    journal.save(rollout(), lease)
    assert journal.under_way() == (rollout(), later)
    journal.save(rollout().with_phase(Phase.RESTORING, "", NOW).with_phase(Phase.ROLLED_BACK, "", NOW), lease)
    assert journal.under_way() == (later,)


def test_the_holder_of_a_lease_is_known_while_it_lives(journal: Journal) -> None:
    assert journal.holder("flights", NOW) is None
    lease = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    assert journal.holder("flights", NOW) == ELSEWHERE
    assert journal.holder("flights", NOW + TTL) is None
    journal.release(lease)
    assert journal.holder("flights", NOW) is None
    journal.acquire("bikeshare", DEAD, NOW, TTL)
    assert journal.holder("bikeshare", NOW) is None


@pytest.mark.parametrize("product", ["flights", "x" * 40])
def test_training_has_a_lease_of_its_own(journal: Journal, product: str) -> None:
    traffic = journal.acquire(product, this_process(), NOW, TTL)
    training = journal.acquire(lease_key(product), ELSEWHERE, NOW, TTL)
    with pytest.raises(Busy):
        journal.acquire(lease_key(product), this_process(), NOW, TTL)
    journal.release(training)
    assert journal.holder(lease_key(product), NOW) is None
    assert journal.holder(product, NOW) == this_process()
    journal.renew(traffic, NOW, TTL)
    assert journal.newest() == ()


def test_evidence_comes_back_as_it_was_kept_and_a_late_writer_adds_none(journal: Journal) -> None:
    counts = Counts(7, 1, (3,) * (len(LATENCY_BOUNDS_MS) + 1), {"late": 2}, {"sales": Sums(2, 1.5, 1.25)})
    blocks = [
        Block(NOW, NOW + TTL, 3, 0.25, counts, Counts(), Pairs(5, 1, 1, 0)),
        Block(NOW + TTL, NOW + 2 * TTL, 4, None, Counts(3), counts),
    ]
    lease = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    for block in blocks:
        journal.save(rollout(), lease, block)
    assert journal.evidence("r1") == tuple(blocks)
    assert journal.evidence("r1", skip=1) == tuple(blocks[1:])
    assert journal.evidence("r1", skip=2) == journal.evidence("r2") == ()
    journal.acquire("flights", this_process(), NOW + TTL, TTL)
    with pytest.raises(Busy, match="is over"):
        journal.save(rollout(), lease, blocks[0])
    assert len(journal.evidence("r1")) == 2


def test_orders_reach_the_rollout_that_they_are_for_in_their_order(journal: Journal) -> None:
    first = journal.give("r1", Verb.PAUSE, "ann", "lunch", NOW)
    journal.give("r2", Verb.ABORT, "bob", "", NOW)
    second = journal.give("r1", Verb.RESUME, "ann", "", NOW)
    assert first.number < second.number
    assert journal.orders("r1") == (first, second)
    assert journal.orders("r1", after=first.number) == (second,)


def test_a_state_is_saved_with_its_block_or_neither_is(journal: Journal) -> None:
    lease = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    block, later = Block(NOW, NOW + TTL, 3, None, Counts(1), Counts(1)), rollout().with_step_done(NOW)
    journal.save(rollout(), lease)
    journal.save(later, lease, block)
    assert (journal.rollouts("flights"), journal.evidence("r1")) == ((later,), (block,))
    journal.acquire("flights", this_process(), NOW + TTL, TTL)
    with pytest.raises(Busy, match="is over"):
        journal.save(rollout(), lease, block)
    assert (journal.rollouts("flights"), journal.evidence("r1")) == ((later,), (block,))


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


@pytest.mark.parametrize("later", [timedelta(0), TTL, timedelta(days=400), timedelta(days=-400)], ids=str)
def test_a_living_holder_of_this_machine_keeps_its_lease_whatever_the_clock_says(
    journal: Journal, later: timedelta
) -> None:
    """A laptop slept, or somebody set the time."""
    mine = journal.acquire("flights", this_process(), NOW, TTL)
    assert journal.holder("flights", NOW + later) == this_process()
    with pytest.raises(Busy, match=f"process {this_process().pid} on {this_process().host}"):
        journal.acquire("flights", ELSEWHERE, NOW + later, TTL)
    journal.save(rollout(), mine)


@pytest.mark.parametrize("doubtful", [ELSEWHERE, OLD, SAME_NAME], ids=["another-host", "old-form", "same-name"])
def test_a_holder_of_which_nothing_is_known_keeps_its_lease_for_its_time(journal: Journal, doubtful: Owner) -> None:
    theirs = journal.acquire("flights", doubtful, NOW, TTL)
    soon = NOW + TTL - timedelta(seconds=1)
    assert journal.holder("flights", soon) == doubtful
    with pytest.raises(Busy, match=re.escape(doubtful.place)):
        journal.acquire("flights", this_process(), soon, TTL)
    assert journal.holder("flights", NOW + TTL) is None
    assert journal.acquire("flights", this_process(), NOW + TTL, TTL).token > theirs.token


def test_a_lease_is_renewed_as_long_as_it_is_had(journal: Journal) -> None:
    lease = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    for number in range(1, 5):
        journal.renew(lease, NOW + number * TTL / 2, TTL)
    assert journal.holder("flights", NOW + 2.5 * TTL) == ELSEWHERE
    taken = journal.acquire("flights", this_process(), NOW + 3 * TTL, TTL)
    with pytest.raises(Busy, match="is over"):
        journal.renew(lease, NOW + 3 * TTL, TTL)
    journal.release(taken)
    for late in (lease, taken):
        with pytest.raises(Busy, match="is over"):
            journal.renew(late, NOW + 3 * TTL, TTL)
    assert journal.holder("flights", NOW + 3 * TTL) is None


def test_tokens_grow_from_one_journal_to_the_next(journal: Journal) -> None:
    """A database that was lost, or left for another and come back to: whoever is written to remembers tokens."""
    former = InMemoryJournal()
    for _ in range(5):
        former.release(last := former.acquire("flights", ELSEWHERE, NOW, TTL))
    first = journal.acquire("flights", ELSEWHERE, NOW + TTL, TTL)
    assert first.token > last.token
    journal.release(first)
    assert former.acquire("flights", this_process(), NOW + 2 * TTL, TTL).token > first.token


def test_a_clock_that_is_far_ahead_does_not_use_the_tokens_up(journal: Journal) -> None:
    later = datetime(2400, 1, 1, tzinfo=UTC)
    first = journal.acquire("flights", ELSEWHERE, later, TTL)
    journal.release(first)
    assert first.token < journal.acquire("flights", this_process(), NOW, TTL).token < 2**31 - 1


def test_a_lease_is_renewed_from_another_thread_while_its_holder_writes(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    moments = [NOW + number * TTL for number in range(20)]
    with ThreadPoolExecutor(1) as other:
        renewed = other.map(lambda moment: journal.renew(lease, moment, TTL), moments)
        for moment in moments:
            journal.acquire("flights", this_process(), moment, TTL)
            journal.save(replace(rollout(), updated_at=moment), lease)
        assert list(renewed) == [None] * 20
    assert journal.rollout("flights", "r1").updated_at == moments[-1]


def test_a_late_writer_is_refused_and_nothing_is_written(journal: Journal) -> None:
    late = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    journal.acquire("flights", this_process(), NOW + TTL, TTL)
    with pytest.raises(Busy, match="is over"):
        journal.save(rollout(), late)
    assert journal.rollouts("flights") == ()


def test_a_released_lease_is_free_and_a_late_release_harms_nobody(journal: Journal) -> None:
    first = journal.acquire("flights", ELSEWHERE, NOW, TTL)
    journal.release(first)
    second = journal.acquire("flights", this_process(), NOW, TTL)
    journal.release(first)
    journal.save(rollout(), second)
    assert journal.rollouts("flights")


def test_who_gave_the_lease_back_writes_nothing_any_more(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    journal.release(lease)
    with pytest.raises(Busy, match="is over"):
        journal.save(rollout(), lease)
    assert journal.rollouts("flights") == ()


def test_who_gave_the_lease_back_writes_nothing_more_to_what_it_wrote_before(journal: Journal) -> None:
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    journal.save(rollout(), lease)
    journal.release(lease)
    with pytest.raises(Busy, match="is over"):
        journal.save(rollout(), lease, Block(NOW, NOW + TTL, 3, None, Counts(1), Counts(1)))
    assert journal.evidence("r1") == ()


def test_products_do_not_disturb_each_other(journal: Journal) -> None:
    journal.acquire("flights", ELSEWHERE, NOW, TTL)
    assert journal.acquire("bikeshare", this_process(), NOW, TTL).product == "bikeshare"


def test_events_come_back_in_order_with_their_facts(journal: Journal) -> None:
    first = Event("flights", "r1", NOW, "gate.refused", {"reasons": ["roc_auc 0.5 is below 0.6"]})
    second = Event("bikeshare", "r2", NOW + TTL, "rollout.done", {"version": 3})
    third, same_moment = (Event("flights", "r1", NOW + 2 * TTL, kind, {}) for kind in ("step.intended", "step.done"))
    for event in (first, second, third, same_moment):
        journal.record(event)
    assert journal.events() == (first, second, third, same_moment)
    assert journal.events("flights") == (first, third, same_moment)


def test_of_two_that_begin_at_once_exactly_one_gets_the_lease_fifty_times(tmp_path: Path) -> None:
    journals = [DatabaseJournal(f"sqlite:///{tmp_path / 'journal.db'}") for _ in range(2)]
    gate = Barrier(2)

    def begin(number: int, product: str) -> bool:
        gate.wait()
        try:
            journals[number].acquire(product, Owner("another-host", number + 1, 0.0), NOW, TTL)
        except Busy:
            return False
        return True

    with ThreadPoolExecutor(2) as both:
        for attempt in range(50):
            got = list(both.map(begin, range(2), [f"product-{attempt}"] * 2))
            assert sorted(got) == [False, True], f"attempt {attempt}"
    for journal in journals:
        journal.close()


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
        ("mysql://ann:hunter2@127.0.0.1:9/journal", "needs the driver MySQLdb: install it"),
        ("nonsense-hunter2", "holds no database URL"),
        ("no-such-kind://ann:hunter2@host/journal", "holds no database URL"),
    ],
)
def test_an_address_that_cannot_be_used_says_what_to_do_without_its_password(url: str, message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        DatabaseJournal(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("above", [FAR, FAR + 5])
def test_a_lease_above_what_was_seen_elsewhere_is_granted_to_its_holder_and_to_nobody_else(
    journal: Journal, above: int
) -> None:
    """This journal is younger than the gateway, and its clock is late."""
    first = journal.acquire("flights", this_process(), NOW, TTL)
    assert first.token < above
    with pytest.raises(Busy):
        journal.acquire("flights", ELSEWHERE, NOW, TTL, above=above)
    raised = journal.acquire("flights", this_process(), NOW, TTL, above=above)
    assert raised.token > above
    assert journal.acquire("flights", this_process(), NOW, TTL, above=above) == raised
    assert journal.acquire("flights", this_process(), NOW, TTL) == raised
    journal.renew(raised, NOW, TTL)
    with pytest.raises(Busy, match="is over"):
        journal.renew(first, NOW, TTL)
    journal.release(raised)
    assert journal.acquire("flights", ELSEWHERE, NOW, TTL).token > raised.token


def test_a_first_lease_may_be_above_what_was_seen_elsewhere_at_once(journal: Journal) -> None:
    assert journal.acquire("flights", this_process(), NOW, TTL, above=FAR).token == FAR + 1


def test_what_was_recorded_after_a_position_is_told_once_and_in_the_order_of_each_product(journal: Journal) -> None:
    journal.record(Event("flights", "r", NOW, "a.old", {}))
    nothing, position = journal.events_after(None)
    assert nothing == ()
    told: list[tuple[str, int]] = []
    for number in range(40):
        journal.record(Event(("flights", "shop")[number % 2], "r", NOW, "a.thing", {"number": number}))
        if number % 7 == 0:
            found, position = journal.events_after(position)
            told += [(each.event.product, each.event.detail["number"]) for each in found]
    found, position = journal.events_after(position)
    told += [(each.event.product, each.event.detail["number"]) for each in found]
    assert [number for product, number in told if product == "flights"] == list(range(0, 40, 2))
    assert [number for product, number in told if product == "shop"] == list(range(1, 40, 2))
    assert journal.events_after(position) == ((), position)


@pytest.mark.parametrize("position", ["99", '{"seatrial-events-flights": 99}'])
def test_a_position_of_another_journal_is_the_beginning_of_this_one(journal: Journal, position: str) -> None:
    for number in range(3):
        journal.record(Event("flights", "r", NOW, "a.thing", {"number": number}))
    found, end = journal.events_after(position)
    assert [each.event.detail["number"] for each in found] == [0, 1, 2]
    assert len({each.key for each in found}) == 3
    assert journal.events_after(end)[0] == ()


def test_the_newest_of_a_long_history_can_be_had_alone(journal: Journal) -> None:
    for number in range(5):
        for product in ("flights", "bikeshare"):
            journal.record(Event(product, "r1", NOW + number * TTL, f"odd.{number}", {"product": product}))
    assert [each.kind for each in journal.events("flights", 2)] == ["odd.3", "odd.4"]
    assert [each.kind for each in journal.events(None, 2)] == ["odd.4", "odd.4"]
    assert journal.events("flights", 9) == journal.events("flights")
    assert journal.events("nobody", 3) == ()
    lease = journal.acquire("flights", this_process(), NOW, TTL)
    for number in range(3):
        journal.save(rollout(f"r{number}", NOW + number * TTL), lease)
    assert [each.rollout_id for each in journal.rollouts("flights", 2)] == ["r2", "r1"]
    assert journal.rollouts("flights", 9) == journal.rollouts("flights")
