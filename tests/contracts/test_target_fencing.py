"""One suite for every target: whoever lost its lease starts and stops no servers any more."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.cluster.resource_kinds import DEPLOYMENT
from deployments.errors import Busy
from deployments.spec import KubernetesSection
from deployments.supervision.locks import locked, slot_of
from deployments.targets.fenced import FencedTarget
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.process import ProcessTarget
from deployments.targets.protocol import Launch, ReplicaState
from tests.contracts.routers.gateway import eventually
from tests.contracts.test_targets import DRAIN, Place, in_memory_place, kubernetes_place, process_place
from tests.fakes.kubernetes import FakeKubernetes
from tests.unit.deployments.journals.runners import Watched


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A socket's path must be short."""
    folder = Path(tempfile.mkdtemp(prefix="seatrial-")).resolve()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(
    params=[
        pytest.param(in_memory_place, id="in_memory"),
        pytest.param(kubernetes_place, id="kubernetes"),
        pytest.param(process_place, id="process", marks=pytest.mark.platform),
    ]
)
def place(request: pytest.FixtureRequest, short_folder: Path) -> Iterator[Place]:
    yield from request.param(short_folder)


def wanted(place: Place, version: int, replicas: int = 1) -> Launch:
    return Launch("flights", version, place.model("flights", version), replicas)


def test_under_a_former_lease_nothing_is_started_and_nothing_stopped(place: Place) -> None:
    target = place.target
    target.launch(wanted(place, 1), 5)
    target.launch(wanted(place, 1), 7)  # by whoever wants it as it is
    before = place.settled(1)
    for write in (
        lambda: target.retire("flights", 1, DRAIN, 6),
        lambda: target.launch(wanted(place, 2), 6),
        lambda: target.launch(wanted(place, 1, 2), 6),
    ):
        with pytest.raises(Busy, match="lease 6 is over, 7 has been at work since"):
            write()
    assert [each.state for each in before] == [ReplicaState.READY]
    assert place.settled(1) == before
    assert target.versions("flights") == (1,)
    target.launch(wanted(place, 2), 7)
    target.launch(wanted(place, 1, 2), 8)
    assert len(place.settled(1)) == 2
    for token in (8, 9):
        target.retire("flights", 1, DRAIN, token)
    assert target.versions("flights") == (2,)
    with pytest.raises(Busy):
        target.launch(wanted(place, 1), 7)


def test_whoever_begins_anew_can_ask_for_the_highest_token_that_was_shown(place: Place) -> None:
    assert place.target.newest_token("flights") == 0
    place.target.launch(wanted(place, 1), 5)
    place.target.launch(wanted(place, 1), 9)
    assert FencedTarget.of(place.target, 3).newest_token("flights") == place.target.newest_token("flights") == 9
    assert place.target.newest_token("bikes") == 0


def test_a_persons_tool_is_let_in_and_other_products_are_others(place: Place) -> None:
    place.target.launch(wanted(place, 1), 7)
    place.target.launch(wanted(place, 2))
    place.launch(1, product="bikes")
    place.target.retire("bikes", 1, DRAIN, 1)
    with pytest.raises(Busy):
        place.target.retire("flights", 2, DRAIN, 6)
    place.target.retire("flights", 2, DRAIN)
    assert place.target.versions("flights") == (1,)


def test_a_fenced_target_writes_under_its_lease(place: Place) -> None:
    late = FencedTarget.of(place.target, 5)
    late.launch(wanted(place, 1))
    FencedTarget.of(late, 6).launch(wanted(place, 1))
    for write in (lambda: late.retire("flights", 1, DRAIN), lambda: late.launch(wanted(place, 2))):
        with pytest.raises(Busy):
            write()
    assert late.versions("flights") == (1,)


@pytest.mark.platform
def test_whoever_waited_for_a_programs_lock_is_asked_again_once_it_has_it(short_folder: Path) -> None:
    """It was stopped, and its successor came, between its first look at the fence and its first deed."""
    with contextmanager(process_place)(short_folder) as place:
        target = place.target
        assert isinstance(target, ProcessTarget)
        target.launch(wanted(place, 1), 5)
        place.settled(1)
        slot, fences = slot_of(target._settings.run_folder, "model-flights-v1-0"), target._fences
        with ThreadPoolExecutor(1) as late:
            with locked(slot):
                going_on = late.submit(target.retire, "flights", 1, DRAIN, 6)
                eventually(lambda: fences.newest("flights") == 6)
                fences.admit("flights", 7)
            with pytest.raises(Busy):
                going_on.result(timeout=60)
        assert [each.state for each in place.settled(1)] == [ReplicaState.READY]


class Stopped(Watched):
    """A cluster whose caller is stopped before each of its writes, until somebody else has written."""

    def merge(self, kind: Any, name: str, patch: Any) -> dict[str, Any]:
        return self._watched(lambda: super(Watched, self).merge(kind, name, patch))  # type: ignore[no-any-return]

    def apply(self, kind: Any, manifest: Any) -> dict[str, Any]:
        return self._watched(lambda: super(Watched, self).apply(kind, manifest))  # type: ignore[no-any-return]


SECTION = KubernetesSection(image="seatrial:1")
LATE: dict[str, Callable[[KubernetesTarget, Path], None]] = {
    "retires": lambda target, folder: target.retire("flights", 1, timedelta(seconds=1), 5),
    "scales": lambda target, folder: target.launch(Launch("flights", 1, folder, 3), 5),
}


@pytest.mark.parametrize("does", sorted(LATE))
def test_whoever_was_stopped_before_it_wrote_to_a_cluster_is_sent_back(tmp_path: Path, does: str) -> None:
    with FakeKubernetes() as api:
        first, theirs = (
            KubernetesTarget(Cluster.of(kubeconfig=api.kubeconfig(tmp_path / name)), SECTION, "http://m", SystemClock())
            for name in ("first", "theirs")
        )
        first.launch(Launch("flights", 1, tmp_path, 1), 5)
        eventually(lambda: [each.state for each in first.replicas("flights", 1)] == [ReplicaState.READY])
        late = Stopped.of(kubeconfig=api.kubeconfig(tmp_path / "late"))
        moments: list[int] = []

        def overslept(number: int) -> None:
            at_its_deployment = api.object("PodDisruptionBudget", "model-flights-v1") is None or does == "scales"
            if at_its_deployment and not moments:
                moments.append(number)
                theirs.launch(Launch("flights", 1, tmp_path, 1), 6)

        late.before = overslept
        with pytest.raises(Busy, match="lease 5 is over"):
            LATE[does](KubernetesTarget(late, SECTION, "http://m", SystemClock()), tmp_path)
        assert moments
        there = api.object("Deployment", "model-flights-v1")
        assert there is not None
        assert there["spec"]["replicas"] == 1
        assert "deletionTimestamp" not in there["metadata"]


def test_a_service_that_somebody_needs_again_stays(tmp_path: Path) -> None:
    """Stopped while its pods went, woken when its successor had brought the version back."""
    with FakeKubernetes() as api:
        first, theirs = (
            KubernetesTarget(Cluster.of(kubeconfig=api.kubeconfig(tmp_path / name)), SECTION, "http://m", SystemClock())
            for name in ("first", "theirs")
        )
        first.launch(Launch("flights", 1, tmp_path, 1), 5)
        late = Stopped.of(kubeconfig=api.kubeconfig(tmp_path / "late"))

        looks, gone = late.list, []

        def look(kind: Any, *rest: Any) -> Any:
            if kind is DEPLOYMENT and api.object("Deployment", "model-flights-v1") is None:
                gone.append(kind)
                if len(gone) == 2:  # the first one is the end of its wait
                    theirs.launch(Launch("flights", 1, tmp_path, 1), 6)
            return looks(kind, *rest)

        late.list = look  # type: ignore[method-assign, assignment]
        with pytest.raises(Busy, match="lease 5 is over"):
            KubernetesTarget(late, SECTION, "http://m", SystemClock()).retire("flights", 1, timedelta(seconds=1), 5)
        assert api.object("Service", "model-flights-v1") is not None
