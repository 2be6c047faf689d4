"""The way back, however long it takes."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import Busy, NeverReady, TargetUnreachable
from deployments.process_identity import Owner
from deployments.rollout.steps import Shift
from deployments.targets.protocol import Answer, Launch, Replica, ReplicaState
from deployments.traffic import Weights
from tasks.rollout_engine.lease import LEASE, hold
from tasks.rollout_engine.restore_champion import restore
from tasks.rollout_engine.server_launch import await_ready, verify
from tasks.rollout_engine.traffic_shift import shift
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

ELSEWHERE = Owner("another-host", 1, 0.0)
SLOW = SECTION.model_copy(update={"drain_timeout": timedelta(minutes=20)})


class NeverDrained:
    """A router whose versions always answer something still."""

    def __init__(self, router: Any) -> None:
        self._router = router

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def in_flight(self, _product: str, _version: int) -> int:
        return 1


@pytest.fixture
def crowded(served: World) -> World:
    """Four versions beside the champion have servers and no traffic."""
    for version in (2, 3, 4, 5):
        served.target.launch(Launch(PRODUCT, version, served.folder, 1))
    shift(PRODUCT, Shift(Weights.all_to(1)), served.doors)
    return served


def test_the_lease_is_kept_through_the_longest_way_back(crowded: World) -> None:
    doors = replace(crowded.doors, router=NeverDrained(crowded.router))  # type: ignore[arg-type]
    hold(PRODUCT, doors, SLOW)
    restore(PRODUCT, SLOW, doors)
    assert crowded.clock.monotonic() > 4 * 1200
    with pytest.raises(Busy):
        crowded.journal.acquire(PRODUCT, ELSEWHERE, crowded.clock.now(), LEASE)
    crowded.settled()


def test_who_lost_the_lease_meanwhile_ends_nobodys_servers(crowded: World) -> None:
    crowded.journal.acquire(PRODUCT, ELSEWHERE, crowded.clock.now(), LEASE)
    with pytest.raises(Busy):
        restore(PRODUCT, SECTION, crowded.doors)
    assert crowded.target.versions(PRODUCT) == (1, 2, 3, 4, 5)


class OneOfTwo:
    """A target of which a champion's second server never comes up."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        first, *rest = self._target.replicas(product, version)
        return (first, *(replace(each, state=ReplicaState.STARTING, detail="its node is gone") for each in rest))


class NeverGone(OneOfTwo):
    """A target where v2 has a server on a node that is gone."""

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        return self._target.replicas(product, version)  # type: ignore[no-any-return]

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        if version == 2:
            raise TargetUnreachable("Pod v2 has not gone")
        self._target.retire(product, version, drain, token)


def test_others_go_before_the_champions_reserve_is_waited_for_and_one_server_is_enough(crowded: World) -> None:
    running: list[tuple[int, ...]] = []
    crowded.clock.passing = lambda _: running.append(crowded.target.versions(PRODUCT))
    seen = restore(PRODUCT, SECTION, replace(crowded.doors, target=OneOfTwo(crowded.target)))  # type: ignore[arg-type]
    assert set(running) == {(1,)}
    assert crowded.clock.monotonic() == pytest.approx(SECTION.ready_timeout.total_seconds(), abs=6)
    assert seen.startswith("v1 has all traffic; ")
    assert "not ready after 60 s (its node is gone)" in seen
    crowded.settled()


def test_servers_that_do_not_go_are_told_of_and_keep_nobody_from_ending(crowded: World) -> None:
    seen = restore(PRODUCT, SECTION, replace(crowded.doors, target=NeverGone(crowded.target)))  # type: ignore[arg-type]
    assert seen.startswith("v1 has all traffic; v2 is not retired yet (Pod v2 has not gone)")
    assert crowded.target.versions(PRODUCT) == (1, 2)
    assert crowded.served_by == {1: 100}


def test_a_server_that_is_on_its_way_out_need_not_answer_sample_rows(served: World) -> None:
    class OneGoes(OneOfTwo):
        def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
            gone = Replica("gone", "/nowhere.sock", ReplicaState.STOPPING)
            return (*self._target.replicas(product, version), gone)

    doors = replace(served.doors, target=OneGoes(served.target))  # type: ignore[arg-type]
    assert verify(PRODUCT, 1, doors) == "2 sample rows answered as in training"


def test_a_server_that_reads_the_sources_own_text_otherwise_than_training_gets_no_traffic(served: World) -> None:
    class Skewed(OneOfTwo):
        def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
            return self._target.replicas(product, version)  # type: ignore[no-any-return]

        def ask(self, replica: Replica, path: str, body: bytes) -> Answer:
            answer = self._target.ask(replica, path, body)
            is_text = b'"1.0"' in body
            return Answer(200, b'{"predictions": [1.5, 80.8]}') if is_text else answer  # type: ignore[no-any-return]

    sample = json.loads((served.folder / "verification.json").read_text())
    sample["texts"] = {"dataframe_split": {"columns": ["x"], "data": [["1.0"], ["2.0"]]}}
    (served.folder / "verification.json").write_text(json.dumps(sample))
    assert verify(PRODUCT, 1, served.doors) == "2 sample rows answered as in training"
    doors = replace(served.doors, target=Skewed(served.target))  # type: ignore[arg-type]
    with pytest.raises(NeverReady, match=r"sample row 1 \(as its source writes it\) with 80.8, but training said 2.5"):
        verify(PRODUCT, 1, doors)


def test_a_server_that_failed_stops_nobody_while_so_many_as_are_needed_may_still_come(served: World) -> None:
    class OneFailedOneComes(OneOfTwo):
        def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
            failed = Replica("failed", "/nowhere.sock", ReplicaState.FAILED, "its disk is full")
            server, *_ = self._target.replicas(product, version)
            here = ReplicaState.READY if served.clock.monotonic() > 5 else ReplicaState.STARTING
            return failed, replace(server, state=here)

    doors = replace(served.doors, target=OneFailedOneComes(served.target))  # type: ignore[arg-type]
    assert await_ready(PRODUCT, 1, 1, SECTION, doors).startswith("1 ready after 5")
    with pytest.raises(NeverReady, match="failed cannot start: its disk is full"):
        await_ready(PRODUCT, 1, 2, SECTION, doors)
