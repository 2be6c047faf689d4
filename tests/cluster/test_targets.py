"""The contract of targets on a real cluster: real servers in its pods, and a registry whose files somebody changes."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.caller_authentication import Proofs
from deployments.clock import SystemClock
from deployments.cluster import Cluster
from deployments.settings import Settings
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import Launch, Replica, ReplicaState
from tests.cluster.fleet import Fleet
from tests.cluster.relay import Relay
from tests.cluster.suites import cases_of
from tests.cluster.test_pods import SECTION
from tests.contracts import test_targets
from tests.contracts.test_targets import DRAIN, Place

# The suite itself, without what is about processes of this machine.
globals().update(cases_of(test_targets, "place"))

_BUSY = {ReplicaState.STARTING, ReplicaState.STOPPING}
_LIMIT_SECONDS = 240.0


class Settled:
    """A target that tells of replicas once they have come and gone: the suite does not wait, and a cluster takes time.

    Counted are those that were launched last, so that a change of number that has not begun yet is waited for too.
    """

    def __init__(self, target: KubernetesTarget) -> None:
        self._target = target
        self._launched: dict[tuple[str, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def launch(self, launch: Launch, token: int | None = None) -> None:
        self._target.launch(launch, token)
        self._launched[launch.product, launch.version] = launch.replicas

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        self._target.retire(product, version, drain, token)
        self._launched.pop((product, version), None)

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        limit = time.monotonic() + _LIMIT_SECONDS
        while True:
            seen = self._target.replicas(product, version)
            wanted = self._launched.get((product, version), 0)
            if len(seen) == wanted and not any(each.state in _BUSY for each in seen):
                return seen
            assert time.monotonic() < limit, seen
            self._target.wait(product, version, timedelta(seconds=2), SystemClock())


class PodPlace(Place):
    """The versions of a product lie in the registry, from 1 to the one that is launched."""

    fleet: Fleet

    def model(self, product: str, version: int) -> Path:
        while len(self.fleet.registry.versions(product)) < version:
            self.fleet.add(product)
        return self.fleet.folder_of(product, version)

    def asked(self, product: str, version: int, replicas: int) -> Launch:
        self.model(product, version)
        return self.fleet.launch(product, version, replicas)


@pytest.fixture
def place(cluster: Cluster, settings: Settings, fleet: Fleet, tmp_path: Path) -> Iterator[Place]:
    relay = Relay()
    through = Cluster.of(cluster.namespace, kubeconfig=relay.kubeconfig(tmp_path / "kubeconfig", cluster.namespace))
    target = KubernetesTarget(
        through, SECTION, settings.tracking_uri, SystemClock(), proofs=Proofs(settings.keys_folder)
    )
    made = PodPlace(
        Settled(target),
        tmp_path,
        spoil=fleet.spoil,
        mend=fleet.mend,
        cut_off=relay.close,
    )
    made.fleet = fleet
    yield made
    relay.close()
    sweeping = KubernetesTarget(cluster, SECTION, settings.tracking_uri, SystemClock())
    for product in ("flights", "flights-v9"):
        for version in sweeping.versions(product):
            sweeping.retire(product, version, DRAIN)
