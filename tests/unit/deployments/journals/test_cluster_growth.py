"""What a journal in a cluster keeps, in objects of what names and sizes."""

import json
from collections.abc import Callable

import pytest

from deployments.errors import NotFound
from deployments.journals.kubernetes import ClusterJournal
from deployments.rollout.operator_commands import Verb
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import (
    ANN,
    NOW,
    TTL,
    Watched,
    block,
    ended,
    event,
    names,
    rollout,
)


def test_of_old_events_the_newest_stay_and_those_since_the_oldest_of_a_rollout_under_way(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.kubernetes.journal.EVENTS_KEPT", 10)
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


def test_the_oldest_rollouts_go_with_all_that_belongs_to_them(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.kubernetes.journal.ROLLOUTS_KEPT", 2)
    journal = ClusterJournal(a_cluster())
    lease = journal.acquire("flights", ANN, NOW, TTL)
    states = [rollout(f"r{number}", NOW + number * TTL) for number in range(5)]
    for state in states:
        journal.save(state, lease)
        journal.give(state.rollout_id, Verb.ABORT, "ann", "", NOW)
        for number in range(4):
            journal.save(state, lease, block(number))
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
        journal.save(rollout(), lease, block(number))
    assert len(names(api)) > 1
    assert max(len(json.dumps(each)) for each in api.objects("ConfigMap")) < 100_000
    assert journal.evidence("r1") == tuple(map(block, range(600)))
