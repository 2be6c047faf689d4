"""Pods that take longer than anybody waits for them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.cluster import Cluster
from deployments.spec import KubernetesSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, Replica, ReplicaState
from tests.fakes.kubernetes import NEVER_READY, PROBE_FAILING, FakeKubernetes, PodScript

NAME = "model-flights-v1"


class Clocked:
    """A cluster whose clock the test sets."""

    def __init__(self, api: FakeKubernetes, target: KubernetesTarget) -> None:
        self.api, self.target = api, target

    def launch(self, within: timedelta = timedelta(minutes=1)) -> None:
        self.target.launch(Launch("flights", 1, Path("/nowhere"), 2, within=within))

    def states(self) -> list[ReplicaState]:
        return [each.state for each in self.replicas()]

    def replicas(self) -> tuple[Replica, ...]:
        return self.target.replicas("flights", 1)


@pytest.fixture
def moments() -> list[datetime]:
    return [datetime(2026, 3, 1, 12, tzinfo=UTC)]


@pytest.fixture
def clocked(moments: list[datetime], tmp_path: Path) -> Iterator[Clocked]:
    with FakeKubernetes(now=lambda: moments[-1]) as api:
        cluster = Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "kubeconfig"))
        yield Clocked(api, KubernetesTarget(cluster, KubernetesSection(image="seatrial:1"), None, ManualClock()))


@pytest.mark.parametrize(("seconds", "deadline", "failures"), [(60, 60, 300), (0.5, 1, 300), (900, 900, 900)])
def test_a_deployment_and_its_probes_are_as_patient_as_the_rollout(
    clocked: Clocked, seconds: float, deadline: int, failures: int
) -> None:
    clocked.launch(timedelta(seconds=seconds))
    [found] = clocked.api.objects("Deployment")
    assert found["spec"]["progressDeadlineSeconds"] == deadline
    [server] = found["spec"]["template"]["spec"]["containers"]
    assert server["startupProbe"]["failureThreshold"] == failures


def over(clocked: Clocked, moments: list[datetime], script: PodScript) -> None:
    """v1 was launched, and its time is over."""
    clocked.api.script(NAME, script)
    clocked.launch()
    moments.append(moments[-1] + timedelta(seconds=61))
    clocked.api.exceed_deadline(NAME)


@pytest.mark.parametrize(("script", "why"), [(NEVER_READY, ""), (PROBE_FAILING, "Readiness probe failed")])
def test_pods_whose_time_is_over_have_failed_and_say_why(
    clocked: Clocked, moments: list[datetime], script: PodScript, why: str
) -> None:
    over(clocked, moments, script)
    for replica in clocked.replicas():
        assert replica.state is ReplicaState.FAILED
        assert why in replica.detail
        assert "has timed out progressing" in replica.detail


def test_who_launches_them_again_gets_new_ones_with_time_of_their_own(
    clocked: Clocked, moments: list[datetime]
) -> None:
    over(clocked, moments, NEVER_READY)
    former = {each.name for each in clocked.replicas()}
    moments.append(moments[-1] + timedelta(seconds=1))
    clocked.launch()
    assert not former & {each.name for each in clocked.replicas()}
    assert clocked.states() == [ReplicaState.STARTING] * 2
