"""The world of the engine's tests with its servers and its routes in a fake cluster."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.clock import Clock
from deployments.cluster import Cluster, object_name
from deployments.routers.gateway_api import GatewayApiRouter
from deployments.routers.kubernetes_service import ServiceRouter
from deployments.spec import GatewaySection, KubernetesSection
from deployments.targets.kubernetes import KubernetesTarget
from deployments.targets.protocol import POLL, Launch
from deployments.wiring import Doors
from tests.contracts.routers.cluster_worlds import GATEWAY
from tests.fakes.gateway import FakeGateway
from tests.fakes.kubernetes import NEVER_READY, READY, FakeKubernetes, Proxied, Request, Target
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


class Uncounted:
    """Nobody counts in the pods: the metrics of this world are told what users did."""

    def in_flight(self, product: str, version: int) -> int:
        return 0

    def tallies(self, product: str) -> Mapping[Source, Counts]:
        return {}

    copies = tallies


@dataclass
class ClusterWorld(World):
    """`api` is the cluster; pods are ready after `starting`. Versions that are `wrong` answer sample rows wrongly.

    Without a `gateway` traffic is split by pods behind a Service.
    """

    api: FakeKubernetes = field(kw_only=True)
    product: str = PRODUCT
    starting: timedelta = timedelta(0)
    gateway: bool = True
    shortfall: float = 0.1
    wrong: set[int] = field(default_factory=set)
    due: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.api.put(GATEWAY)
        self.api.answer_pods(self._sample_rows)
        self.doors = self.doors_of_a_new_process(self.folder)
        self.router: Any = self.doors.router
        self.target: Any = self.doors.target
        self._users = FakeGateway(self.api)
        self._looked: tuple[int, Any, Any] = (-1, None, None)

    def doors_of_a_new_process(self, folder: Path) -> Doors:
        """Which knows nothing yet of the cluster; `folder` is for its kubeconfig."""
        self.cluster = Cluster.of(kubeconfig=self.api.kubeconfig(folder / "kubeconfig"))
        section = KubernetesSection(image="seatrial:1")
        target: Any = Simulated(self.cluster, section, "http://mlflow", self.clock).in_world(self)
        counted = Uncounted()
        router: Any = ServiceRouter(self.cluster, counted)
        if self.gateway:
            front = GatewaySection(name="public", shortfall=self.shortfall)
            router = GatewayApiRouter(self.cluster, front, counted, self.clock)
        expect = self.cluster.rights.expect_all
        return replace(self.doors, router=router, target=target, expect_rights=expect)

    def split(self) -> tuple[Mapping[int, int], int | None]:
        """See `World`; read from what the cluster keeps, at no cost of requests."""
        return self._look()[1]  # type: ignore[no-any-return]

    def answering(self) -> Collection[int]:
        """See `World`: versions with a pod that takes requests."""
        return self._look()[2]  # type: ignore[no-any-return]

    def _look(self) -> tuple[int, Any, Any]:
        """Nothing changes but by requests."""
        if self._looked[0] != self.api.request_count:
            pods = [each for each in self.api.objects("Pod") if _takes_requests(each)]
            there = {_version(each): None for each in pods}
            self._looked = (self.api.request_count, self._split(pods), tuple(there))
        return self._looked

    def _split(self, pods: list[dict[str, Any]]) -> tuple[Mapping[int, int], int | None]:
        if self.gateway:
            shares, copied = self._users.shares(f"/{PRODUCT}/invocations", {})
            mirrored = next((int(name.rpartition("-v")[2]) for name in copied), None)
            return {int(name.rpartition("-v")[2]): weight for name, weight in shares.items()}, mirrored
        service = self.api.object("Service", f"seatrial-{PRODUCT}")
        selector = service["spec"]["selector"].items() if service else ()
        led_to = [_version(pod) for pod in pods if service and selector <= pod["metadata"]["labels"].items()]
        return {version: led_to.count(version) for version in led_to}, None

    def _sample_rows(self, request: Request, target: Target) -> Proxied:
        if request.method == "GET":
            told = {"epoch": target.name, "last": 0, "answers": []}
            return Proxied(200, json.dumps(told).encode()) if "answers" in target.rest else Proxied(404, b"{}")
        sample = json.loads((self.folder / "verification.json").read_bytes())
        assert json.loads(request.body) == sample["request"]
        wrong = any(f"-v{version}-" in target.name for version in self.wrong)
        return Proxied(200, json.dumps({"predictions": [0.0, 0.0] if wrong else sample["predictions"]}).encode())


class Simulated(KubernetesTarget):
    """Pods take the time of the world to start, and whoever waits for them lets it pass."""

    def in_world(self, world: ClusterWorld) -> "Simulated":
        self._world = world
        return self

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target`."""
        name, world = object_name(launch.product, launch.version), self._world
        if world.starting and world.api.object("Deployment", name) is None:
            world.api.script(name, NEVER_READY)
            world.due[name] = world.clock.monotonic() + world.starting.total_seconds()
        super().launch(launch, token)

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`: until the pods are ready."""
        name = object_name(product, version)
        self._cluster.calls["watch pods"] += 1
        left = self._world.due.get(name, 0.0) - clock.monotonic()
        clock.sleep(min(within, timedelta(seconds=left) if left > 0 else POLL))
        if name in self._world.due and clock.monotonic() >= self._world.due[name]:
            del self._world.due[name]
            self._world.api.script(name, READY)


def _takes_requests(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def _version(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["labels"]["seatrial.dev/version"])
