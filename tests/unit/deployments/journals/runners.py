"""Runners of a cluster's journal that die, or are late, at a chosen write."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from deployments.analysis.evidence import Block, Counts
from deployments.cluster import Cluster, Kind
from deployments.errors import Busy
from deployments.fencing import next_token
from deployments.journals.kubernetes import ClusterJournal
from deployments.journals.protocol import Event
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.rollout.a_rollout import rollout as a_rollout

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TTL = timedelta(seconds=30)
FIRST = next_token(0, NOW)
ANN, BOB = Owner("host-a", 1, 0.0), Owner("host-b", 1, 0.0)


class Killed(BaseException):
    """The process ended here."""


class Watched(Cluster):
    """A cluster with somebody who looks before and after each write: `before` and `after` get its number, from 1."""

    writes = 0
    before: Callable[[int], object] = staticmethod(lambda number: None)
    after: Callable[[int], object] = staticmethod(lambda number: None)

    def create(self, kind: Kind, manifest: Mapping[str, Any]) -> dict[str, Any]:
        return self._watched(lambda: super(Watched, self).create(kind, manifest))

    def replace(self, kind: Kind, found: Mapping[str, Any]) -> dict[str, Any]:
        return self._watched(lambda: super(Watched, self).replace(kind, found))

    def delete(
        self,
        kind: Kind,
        name: str,
        propagation: str = "Background",
        uid: str | None = None,
        version: str | None = None,
    ) -> None:
        self._watched(lambda: super(Watched, self).delete(kind, name, propagation, uid, version))

    def _watched(self, write: Callable[[], Any]) -> Any:
        self.writes += 1
        number = self.writes
        self.before(number)
        written = write()
        self.after(number)
        return written


def rollout(rollout_id: str = "r1", started_at: datetime = NOW) -> RolloutState:
    state = a_rollout(Phase.OBSERVING, 3, rollout_id=rollout_id)
    return replace(state, started_at=started_at, updated_at=started_at)


def ended(state: RolloutState) -> RolloutState:
    at = state.updated_at
    return state.with_phase(Phase.RESTORING, "", at).with_phase(Phase.ROLLED_BACK, "", at)


def block(number: int) -> Block:
    return Block(NOW + number * TTL, NOW + (number + 1) * TTL, 3, 0.25, Counts(number, 1), Counts(number))


def won(kubeconfig: Path, number: int, products: int, gate: Barrier, results: Any) -> None:
    """In a process of its own: tries for the lease on each product at the same moment as the others."""
    journal = ClusterJournal(Cluster.of(kubeconfig=kubeconfig))
    mine = []
    for each in range(products):
        gate.wait()
        try:
            mine.append((each, journal.acquire(f"product-{each}", Owner(f"host-{number}", 1, 0.0), NOW, TTL).token))
        except Busy:
            continue
    results.put(mine)


def event(number: int, run: str = "r1") -> Event:
    return Event("flights", run, NOW + number * TTL, "step.done", {"number": number, "said": "x" * 50})


def names(api: FakeKubernetes) -> list[str]:
    return sorted(each["metadata"]["name"] for each in api.objects("ConfigMap"))


def listed_chunks(api: FakeKubernetes) -> set[str]:
    heads = (each for each in api.objects("ConfigMap") if "chunks" in each.get("data", {}))
    return {name for head in heads for name, _ in json.loads(head["data"]["chunks"])}


def work(journal: ClusterJournal, holder: Owner) -> None:
    """All that a rollout writes, with chunks that fill up."""
    lease = journal.acquire("flights", holder, NOW, TTL)
    journal.save(rollout(), lease)
    for number in range(6):
        journal.save(rollout(), lease, block(number))
        journal.record(event(number))
    journal.give("r1", Verb.ABORT, "ann", "", NOW)
    journal.save(ended(rollout()), lease)
    journal.release(lease)
