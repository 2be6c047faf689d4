"""What the journal in a cluster asks of an API server, and what it may."""

from collections.abc import Callable

import pytest

from deployments.errors import ClusterRefused
from deployments.journals.kubernetes import ClusterJournal
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import (
    ANN,
    NOW,
    TTL,
    Watched,
    block,
    event,
    rollout,
    work,
)

RIGHTS = [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create", "update", "delete"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
]


def test_a_save_or_a_block_is_one_call_and_a_lease_one_or_none(a_cluster: Callable[[], Watched]) -> None:
    cluster = a_cluster()
    journal = ClusterJournal(cluster)
    lease = journal.acquire("flights", ANN, NOW, TTL)
    journal.save(rollout(), lease)

    def calls(act: Callable[[], object]) -> int:
        before = cluster.calls.total()
        act()
        return cluster.calls.total() - before

    assert calls(lambda: journal.save(rollout().with_step_done(NOW), lease)) == 1
    assert calls(lambda: journal.save(rollout(), lease, block(1))) == 1
    assert calls(lambda: journal.acquire("flights", ANN, NOW + TTL / 10, TTL)) == 0
    assert calls(lambda: journal.acquire("flights", ANN, NOW + TTL / 2, TTL)) == 1
    assert calls(lambda: journal.orders("r1")) == 1
    journal.record(event(1))
    assert calls(lambda: journal.record(event(2))) == 1


def test_all_of_it_needs_few_rights_only(
    api: FakeKubernetes, a_cluster: Callable[[], Watched], small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployments.journals.kubernetes.journal.EVENTS_KEPT", 5)
    monkeypatch.setattr("deployments.journals.kubernetes.journal.ROLLOUTS_KEPT", 0)
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
    with pytest.raises(ClusterRefused, match=f"{name} in namespace default is not Seatrial's"):
        journal.acquire("flights", ANN, NOW, TTL) if kind == "Lease" else journal.record(event(1))
    assert api.object(kind, name) == theirs


def test_a_journal_that_was_closed_before_a_fork_opens_connections_of_its_own(a_cluster: Callable[[], Watched]) -> None:
    journal = ClusterJournal(a_cluster())
    journal.record(event(1))
    journal.close()
    journal.record(event(2))
    assert journal.events() == (event(1), event(2))
