"""Model servers as pods (see `Target`): one Deployment, Service and disruption budget per version.

Everything is in the cluster: whoever asks sees the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from deployments.caller_authentication import RUN_HEADER, Proofs
from deployments.clock import Clock
from deployments.cluster import (
    TRIES,
    Cluster,
    Conflicting,
    Expired,
    Kind,
    annotation,
    errors_as,
    is_ours,
    newest_token,
    object_name,
    selector_of,
    token_annotation,
)
from deployments.cluster.object_names import COPIES_PORT, PRODUCT, version_of
from deployments.cluster.resource_kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, EVENT, POD, SERVICE
from deployments.errors import ClusterRefused, NeverReady, TargetUnreachable
from deployments.spec import KubernetesSection
from deployments.targets.exit_reason import last_words, stage
from deployments.targets.kubernetes.manifests import (
    CONTAINER,
    FETCHER,
    Served,
    autoscaler,
    deployment,
    disruption_budget,
    service,
)
from deployments.targets.kubernetes.pod_status import (
    is_outdated,
    is_over,
    missing_replica,
    replica_of,
    runs,
    too_late,
    wants_events,
)
from deployments.targets.kubernetes.template_drift import being_replaced, changed_fields
from deployments.targets.protocol import Answer, Launch, Replica, ReplicaState

Object = dict[str, Any]

# All that is made for a version.
_MADE: Final = (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, AUTOSCALER)
_ANSWER_SECONDS: Final = 10.0
_LOG_LINES: Final = 50
# Beyond a drain, and the time that a pod has to end: until the last one is gone from the API server.
_GOING: Final = timedelta(seconds=60)
_LOOK_SECONDS: Final = 30.0
_POLL: Final = timedelta(seconds=1)


class KubernetesTarget:
    """Runs model servers in a cluster, as a product's `section` says. `tracking`: where pods find the registry.

    `trusted` names types that every model may hold, beyond those of its own launch. `login`: see `Served`. Servers are
    told how to know us by our `proofs`, which they are shown with every question.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a platform has
        self,
        cluster: Cluster,
        section: KubernetesSection,
        tracking: str | None,
        clock: Clock,
        trusted: tuple[str, ...] = (),
        login: str | None = None,
        proofs: Proofs | None = None,
    ) -> None:
        self._cluster, self._section, self._tracking, self._clock = cluster, section, tracking, clock
        self._trusted, self._login, self._proofs = trusted, login, proofs or Proofs(None)
        # By labels, up to when `replicas` has seen what happened to pods.
        self._seen: dict[str, str] = {}
        # By the name of a pod, the product and version that it serves.
        self._serving: dict[str, tuple[str, int]] = {}

    def launch(self, launch: Launch, token: int | None = None) -> None:
        """See `Target`. Raises `ClusterRefused` for an object of that name which is not ours; nothing is begun then."""
        told = replace(launch, trusted=(*self._trusted, *launch.trusted))
        known_by = self._proofs.told_to_pods(launch.product, launch.version)
        served = Served(told, self._section, self._tracking, self._login, known_by)
        with self._reaching():
            self._claim(launch.product, token)
            found = self._ours(served)
            if self._section.autoscaling is None:
                self._end(AUTOSCALER, launch.product, launch.version, "Background")
            pods = self._pods(launch.product, launch.version)
            self._written(lambda now: self._run(served, now, pods, token), served.name, found)
            self._cluster.apply(SERVICE, service(served))
            self._cluster.apply(DISRUPTION_BUDGET, disruption_budget(served))
            if (scaling := self._section.autoscaling) is not None:
                self._cluster.apply(AUTOSCALER, autoscaler(served, scaling))
            for pod in pods:
                if is_over(pod) or self._given_up(replica_of(pod), pod, found).state is ReplicaState.FAILED:
                    self._cluster.delete(POD, pod["metadata"]["name"], uid=pod["metadata"]["uid"])

    def replicas(self, product: str, version: int) -> tuple[Replica, ...]:
        """See `Target`. A pod that is still to be made is there as one that starts, or that cannot."""
        name = object_name(product, version)
        with self._reaching():
            found = self._cluster.get(DEPLOYMENT, name)
            pods = self._pods(product, version)
            events = self._events(pods)
        replicas = [self._replica(pod, events[pod["metadata"]["name"]], found) for pod in pods]
        if found is None or not is_ours(found, product) or found["metadata"].get("deletionTimestamp"):
            return tuple(replicas)
        staying = [each for each in replicas if each.state is not ReplicaState.STOPPING]
        wanted = found["spec"].get("replicas", 1)
        return (*replicas, *(missing_replica(name, found, place) for place in range(len(staying), wanted)))

    def versions(self, product: str) -> tuple[int, ...]:
        """See `Target`. A version of which only a Service, say, is left is one, too: somebody has to clear it up."""
        labels = selector_of(product)
        with self._reaching():
            found = [each for kind in _MADE for each in self._cluster.list(kind, labels)[0]]
        return tuple(sorted({version for each in found if (version := version_of(each)) is not None}))

    def unsettled(self, product: str, version: int) -> str:
        """See `Target`: the Deployment is there, as we wrote it, and all its pods are made from what it says now."""
        name = object_name(product, version)
        with self._reaching():
            found, address = self._cluster.get(DEPLOYMENT, name), self._cluster.get(SERVICE, name)
        if found is None or not is_ours(found, product):
            return f"Deployment {name} in namespace {self._cluster.namespace} is gone: somebody removed it"
        if address is None or not is_ours(address, product):
            return f"Service {name} in namespace {self._cluster.namespace} is gone: somebody removed it"
        if changed := changed_fields(found):
            raise NeverReady(
                f"somebody changed {', '.join(changed)} of Deployment {name} in namespace {self._cluster.namespace}: "
                "its pods are not what was verified"
            )
        return being_replaced(found)

    def ask(self, replica: Replica, path: str, body: bytes) -> Answer:
        """See `Target`; by way of the API server."""
        with errors_as(TargetUnreachable, f"{replica.name} does not answer through {self._cluster.address}"):
            shown = self._proof(replica.name)
            said = self._cluster.proxied(replica.name, COPIES_PORT, "POST", path, body, _ANSWER_SECONDS, shown)
        return Answer(said.status, said.body)

    def _proof(self, pod: str) -> dict[str, str]:
        """What the server in a pod is shown, by its header."""
        if pod not in self._serving:
            for found in self._cluster.list(POD, fields=f"metadata.name={pod}")[0]:
                product, version = found["metadata"].get("labels", {}).get(PRODUCT), version_of(found)
                if product and version is not None:
                    self._serving[pod] = product, version
        proof = self._proofs.of_run(*self._serving[pod]) if pod in self._serving else ""
        return {RUN_HEADER: proof} if proof else {}

    def newest_token(self, product: str) -> int:
        """See `Target.newest_token`."""
        with self._reaching():
            found, _ = self._cluster.list(DEPLOYMENT, selector_of(product))
        return newest_token(found, product)

    def retire(self, product: str, version: int, drain: timedelta, token: int | None = None) -> None:
        """See `Target`. Pods finish what they are answering within the time that any request may take."""
        with self._reaching():
            self._claim(product, token)
            for kind in (AUTOSCALER, DISRUPTION_BUDGET):
                self._end(kind, product, version, "Background")
            # In the foreground, so that it is there until its last pod is gone.
            self._written(lambda _: self._end_deployment(product, version, token), object_name(product, version), None)
            self._until_gone(product, version, drain)
            self._claim(product, token)
            # Not before: a gateway may still be on its way to the last pod.
            self._end(SERVICE, product, version, "Background")

    def wait(self, product: str, version: int, within: timedelta, clock: Clock) -> None:
        """See `Target`."""
        labels = selector_of(product, version)
        since = self._seen.pop(labels, "")
        with self._reaching():
            if not since or self._saw(POD, since, within.total_seconds(), labels) is None:
                clock.sleep(min(within, _POLL))

    def _run(self, served: Served, found: Object | None, pods: list[Object], token: int | None) -> None:
        """A pod that is ready stays as it was started, for to replace it would cost more than it is worth."""
        annotations = annotation(served.launch.product, token, found)
        # Somebody may have written since, under a later lease; without a token nobody minds.
        since = {"resourceVersion": found["metadata"]["resourceVersion"]} if token is not None and found else {}
        if found is None or not any(replica_of(pod).state is ReplicaState.READY for pod in pods):
            manifest = deployment(served)
            metadata = manifest["metadata"] | since | ({"annotations": annotations} if annotations else {})
            self._cluster.apply(DEPLOYMENT, manifest | {"metadata": metadata})
        elif served.section.autoscaling is None and found["spec"].get("replicas") != served.launch.replicas:
            patch = {"metadata": since, "spec": {"replicas": served.launch.replicas}}
            self._cluster.merge(DEPLOYMENT, served.name, patch)

    def _written(self, write: Callable[[Object | None], None], name: str, found: Object | None) -> None:
        """`write` was done, to the Deployment as it was `found`, or as it is by now if somebody else was quicker."""
        for _ in range(TRIES):
            with suppress(Conflicting):
                write(found)
                return
            found = self._cluster.get(DEPLOYMENT, name)
        raise TargetUnreachable(f"others keep changing Deployment {name}: try again")

    def _claim(self, product: str, token: int | None) -> None:
        """Every Deployment of the product remembers `token`. Raises `Busy` if one knows of a higher one."""
        if token is None:
            return
        for _ in range(TRIES):
            found, _ = self._cluster.list(DEPLOYMENT, selector_of(product))
            if token_annotation(found, product, token):
                with suppress(Conflicting):
                    self._mark(found, product, token)
                    return
            else:
                return
        raise TargetUnreachable(f"others keep changing the Deployments of {product}: try again")

    def _mark(self, found: list[Object], product: str, token: int) -> None:
        for each in found:
            if annotations := token_annotation((each,), product, token):
                metadata = {"resourceVersion": each["metadata"]["resourceVersion"], "annotations": annotations}
                self._cluster.merge(DEPLOYMENT, each["metadata"]["name"], {"metadata": metadata})

    def _ours(self, served: Served) -> Object | None:
        """The Deployment that there is, None for none.

        Raises `ClusterRefused` if any object of that name is somebody else's, `TargetUnreachable` while it is going.
        """
        kinds = (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, *([AUTOSCALER] if served.section.autoscaling else ()))
        found = {kind: self._cluster.get(kind, served.name) for kind in kinds}
        for kind, each in found.items():
            if each is not None and not is_ours(each, served.launch.product):
                raise ClusterRefused(
                    f"{kind.name} {served.name} in namespace {self._cluster.namespace} is not Seatrial's: "
                    "rename or remove it, or give the product another namespace"
                )
        present = found[DEPLOYMENT]
        if present is not None and present["metadata"].get("deletionTimestamp"):
            raise TargetUnreachable(f"Deployment {served.name} is still on its way out: its pods have not gone yet")
        return present

    def _pods(self, product: str, version: int) -> list[Object]:
        """In the order of their names; those that have ended for good are none."""
        labels = selector_of(product, version)
        found, self._seen[labels] = self._cluster.list(POD, labels)
        self._serving |= {each["metadata"]["name"]: (product, version) for each in found}
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

    def _replica(self, pod: Object, events: list[Object], made_by: Object | None) -> Replica:
        replica = replica_of(pod, events)
        if replica.state is not ReplicaState.READY and made_by is not None and is_outdated(pod, made_by):
            return Replica(replica.name, replica.address, ReplicaState.STOPPING)
        if replica.state is not ReplicaState.FAILED:
            if replica.state is ReplicaState.STARTING and not replica.detail and runs(pod):
                replica = replace(replica, detail=self._stage(replica.name))
            return self._given_up(replica, pod, made_by)
        said = self._last_words(replica.name)
        return Replica(replica.name, replica.address, replica.state, said or replica.detail)

    def _given_up(self, replica: Replica, pod: Object, made_by: Object | None) -> Replica:
        """One that starts has failed once its Deployment waits for it no longer."""
        late = too_late(pod, made_by) if made_by and replica.state is ReplicaState.STARTING else ""
        if not late:
            return replica
        detail = "; ".join(filter(None, (replica.detail, late)))
        return Replica(replica.name, replica.address, ReplicaState.FAILED, detail)

    def _stage(self, pod: str) -> str:
        """What a server that starts is at; empty if it does not say so."""
        return stage(self._cluster.log(pod, CONTAINER, _LOG_LINES))

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

    def _end_deployment(self, product: str, version: int, token: int | None) -> None:
        found = self._cluster.get(DEPLOYMENT, object_name(product, version))
        if found is not None and is_ours(found, product):
            token_annotation((found,), product, token)
            metadata = found["metadata"]
            since = None if token is None else metadata["resourceVersion"]
            self._cluster.delete(DEPLOYMENT, metadata["name"], "Foreground", metadata["uid"], since)

    def _until_gone(self, product: str, version: int, drain: timedelta) -> None:
        """Its pods first, then the Deployment, which goes after them."""
        labels, within, began = selector_of(product, version), drain, self._clock.monotonic()
        for kind in (POD, DEPLOYMENT):
            found, since = self._cluster.list(kind, labels)
            within = max((within, *map(_grace, found)))
            limit = began + (within + _GOING).total_seconds()
            while found:
                left = limit - self._clock.monotonic()
                if left <= 0:
                    names = ", ".join(str(each["metadata"]["name"]) for each in found)
                    raise TargetUnreachable(
                        f"{kind.name} {names} has not gone within {limit - began:g} s: see its events"
                    )
                if self._saw(kind, since, min(left, _LOOK_SECONDS), labels, "DELETED") is None:
                    self._clock.sleep(_POLL)
                found, since = self._cluster.list(kind, labels)

    def _saw(self, kind: Kind, since: str, seconds: float, labels: str, what: str = "") -> Object | None:
        """The first object to which `what` happened (empty: anything); None for none, or if the watch broke off."""
        with suppress(Expired):
            for happened, each in self._cluster.watch(kind, since, seconds, labels):
                if what in {"", happened}:
                    return each
        return None

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with errors_as(TargetUnreachable, f"cluster {self._cluster.address}"):
            yield


def _grace(found: Object) -> timedelta:
    """How long a pod may take to end; nothing for any other object."""
    return timedelta(seconds=found["spec"].get("terminationGracePeriodSeconds", 0))


def _moment(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
