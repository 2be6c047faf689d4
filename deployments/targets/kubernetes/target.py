"""Model servers as pods (see `Target`): one Deployment, Service and disruption budget per version.

Everything is in the cluster: whoever asks sees the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Final

from deployments.clock import Clock
from deployments.cluster import (
    ApiError,
    Cluster,
    Expired,
    Kind,
    errors_as,
    is_ours,
    object_name,
    selector_of,
)
from deployments.cluster.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, EVENT, POD, SERVICE
from deployments.cluster.names import COPIES_PORT, version_of
from deployments.errors import ClusterRefused, TargetUnreachable
from deployments.spec import KubernetesSection
from deployments.targets.kubernetes.manifests import (
    CONTAINER,
    FETCHER,
    Served,
    autoscaler,
    deployment,
    disruption_budget,
    service,
)
from deployments.targets.kubernetes.pods import missing_replica, replica_of, wants_events
from deployments.targets.last_words import last_words
from deployments.targets.protocol import Answer, Launch, Replica, ReplicaState

Object = dict[str, Any]

_ANSWER_SECONDS: Final = 10.0
_LOG_LINES: Final = 50
# Beyond a drain: until the last pod is gone from the API server.
_GOING: Final = timedelta(seconds=60)
_LOOK_SECONDS: Final = 30.0
_POLL: Final = timedelta(seconds=1)


class KubernetesTarget:
    """Runs model servers in a cluster, as a product's `section` says. `tracking`: where pods find the registry."""

    def __init__(self, cluster: Cluster, section: KubernetesSection, tracking: str | None, clock: Clock) -> None:
        self._cluster, self._section, self._tracking, self._clock = cluster, section, tracking, clock
        # By labels, up to when `replicas` has seen what happened to pods.
        self._seen: dict[str, str] = {}

    def launch(self, launch: Launch) -> None:
        """See `Target`. Raises `ClusterRefused` for an object of that name which is not ours."""
        served = Served(launch, self._section, self._tracking)
        with self._reaching():
            found = self._own(DEPLOYMENT, served.name, launch.product)
            pods = self._pods(launch.product, launch.version)
            if any(replica_of(pod).state is ReplicaState.READY for pod in pods) and found is not None:
                self._scale(served, found)
            else:
                self._cluster.apply(DEPLOYMENT, deployment(served))
            for kind, manifest in ((SERVICE, service(served)), (DISRUPTION_BUDGET, disruption_budget(served))):
                self._own(kind, served.name, launch.product)
                self._cluster.apply(kind, manifest)
            self._autoscale(served)
            for pod in pods:
                if replica_of(pod).state is ReplicaState.FAILED:
                    self._cluster.delete(POD, pod["metadata"]["name"], uid=pod["metadata"]["uid"])

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target`. A pod that is still to be made is there as one that starts, or that cannot."""
        name = object_name(product, version)
        with self._reaching():
            found = self._cluster.get(DEPLOYMENT, name)
            pods = self._pods(product, version)
            events = self._events(pods)
        replicas = [self._replica(pod, events[pod["metadata"]["name"]]) for pod in pods]
        if found is None or not is_ours(found, product) or found["metadata"].get("deletionTimestamp"):
            return tuple(replicas)
        staying = [each for each in replicas if each.state is not ReplicaState.STOPPING]
        wanted = found["spec"].get("replicas", 1)
        return (*replicas, *(missing_replica(name, found, place) for place in range(len(staying), wanted)))

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target`."""
        with self._reaching():
            found, _ = self._cluster.list(DEPLOYMENT, selector_of(product))
        return tuple(sorted({version for each in found if (version := version_of(each)) is not None}))

    def ask(self, replica: Replica, path: str, body: bytes) -> Answer:
        """See `Target`; by way of the API server."""
        try:
            said = self._cluster.proxied(replica.name, COPIES_PORT, "POST", path, body, _ANSWER_SECONDS)
        except ApiError as error:
            where = f"{replica.name} does not answer through {self._cluster.address}"
            raise TargetUnreachable(f"{where}: {error}") from error
        return Answer(said.status, said.body)

    def retire(self, product: str, version: int, drain: timedelta) -> None:
        """See `Target`. Pods finish what they are answering within the time that any request may take."""
        with self._reaching():
            for kind in (AUTOSCALER, DISRUPTION_BUDGET):
                self._end(kind, product, version, "Background")
            # In the foreground, so that it is there until its last pod is gone.
            self._end(DEPLOYMENT, product, version, "Foreground")
            self._until_gone(product, version, drain)
            # Not before: a gateway may still be on its way to the last pod.
            self._end(SERVICE, product, version, "Background")

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`."""
        labels = selector_of(product, version)
        with self._reaching(), suppress(Expired):
            if since := self._seen.pop(labels, ""):
                next(self._cluster.watch(POD, since, within.total_seconds(), labels), None)
            else:
                clock.sleep(min(within, _POLL))

    def _scale(self, served: Served, found: Object) -> None:
        """A pod that is ready stays as it was started, for to replace it would cost more than it is worth."""
        if served.section.autoscaling is None and found["spec"].get("replicas") != served.launch.replicas:
            self._cluster.merge(DEPLOYMENT, served.name, {"spec": {"replicas": served.launch.replicas}})

    def _autoscale(self, served: Served) -> None:
        if (scaling := served.section.autoscaling) is not None:
            self._own(AUTOSCALER, served.name, served.launch.product)
            self._cluster.apply(AUTOSCALER, autoscaler(served, scaling))

    def _own(self, kind: Kind, name: str, product: str) -> Object | None:
        """The object of ours of that name, None for none. Raises `ClusterRefused` if it is somebody else's."""
        found = self._cluster.get(kind, name)
        if found is not None and not is_ours(found, product):
            raise ClusterRefused(
                f"{kind.name} {name} in namespace {self._cluster.namespace} is not Seatrial's: "
                "rename or remove it, or give the product another namespace"
            )
        return found

    def _pods(self, product: str, version: int) -> list[Object]:
        """In the order of their names; those that have ended for good are none."""
        labels = selector_of(product, version)
        found, self._seen[labels] = self._cluster.list(POD, labels)
        return sorted(
            (each for each in found if (each.get("status") or {}).get("phase") != "Succeeded"),
            key=lambda each: str(each["metadata"]["name"]),
        )

    def _events(self, pods: list[Object]) -> Mapping[str, list[Object]]:
        """By the name of the pod that they are about, in the order in which they happened."""
        found: dict[str, list[Object]] = defaultdict(list)
        for pod in pods:
            if wants_events(pod):
                told, _ = self._cluster.list(EVENT, fields=f"involvedObject.uid={pod['metadata']['uid']}")
                found[pod["metadata"]["name"]] = sorted(told, key=_moment)
        return found

    def _replica(self, pod: Object, events: list[Object]) -> Replica:
        replica = replica_of(pod, events)
        if replica.state is not ReplicaState.FAILED:
            return replica
        said = self._last_words(replica.name)
        return Replica(replica.name, replica.address, replica.state, said or replica.detail)

    def _last_words(self, pod: str) -> str:
        """What the server said before it ended, which says more than its exit code."""
        for container in (CONTAINER, FETCHER):
            for previous in (False, True):
                said = last_words(self._cluster.log(pod, container, _LOG_LINES, previous=previous))
                if said.text:
                    return said.text
        return ""

    def _end(self, kind: Kind, product: str, version: int, propagation: str) -> None:
        """Ends the object if it is there, and ours."""
        found = self._cluster.get(kind, object_name(product, version))
        if found is not None and is_ours(found, product):
            self._cluster.delete(kind, found["metadata"]["name"], propagation, found["metadata"]["uid"])

    def _until_gone(self, product: str, version: int, drain: timedelta) -> None:
        labels = selector_of(product, version)
        limit = self._clock.monotonic() + drain.total_seconds() + _GOING.total_seconds()
        while True:
            pods, since = self._cluster.list(POD, labels)
            left = limit - self._clock.monotonic()
            if not pods and self._cluster.get(DEPLOYMENT, object_name(product, version)) is None:
                return
            if left <= 0:
                names = ", ".join(str(pod["metadata"]["name"]) for pod in pods) or object_name(product, version)
                raise TargetUnreachable(f"{names} has not gone within {drain + _GOING}: see its events")
            try:
                for happened, _ in self._cluster.watch(POD, since, min(left, _LOOK_SECONDS), labels):
                    if happened == "DELETED":
                        break
            except Expired:
                continue

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with errors_as(TargetUnreachable, f"cluster {self._cluster.address}"):
            yield


def _moment(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
