"""Splits traffic by whole pods behind one Service (see `Router`), for clusters without Gateway API.

All traffic to one version is a switch of the Service's selector. A share is that of pods with a label that the selector
asks for. kube-proxy balances connections, not requests: a client that keeps one stays with its pod.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts
from deployments.cluster import (
    TRIES,
    Cluster,
    Conflicting,
    annotation,
    errors_as,
    is_ours,
    labels_of,
    newest_token,
    selector_of,
    token_annotation,
)
from deployments.cluster.object_names import PORT, product_object_name, user_address, version_of
from deployments.cluster.resource_kinds import POD, SERVICE
from deployments.errors import RouterRefused, RouterUnreachable
from deployments.routers.canonical_routing import accepted
from deployments.routers.counter_source import CountedElsewhere, Counters
from deployments.routers.kubernetes_service.pod_shares import pods_for, weights_of
from deployments.routers.required_servers import servers_missing
from deployments.routers.rollback_routing import Retreat, everything_to, has_everything, unknown
from deployments.traffic import Backend, Routing, Weights

Object = dict[str, Any]

_SERVING: Final = "seatrial.dev/serving"
_WANTED: Final = "seatrial.dev/weights"
_KNOWN: Final = "seatrial.dev/versions"
_RETREAT: Final = "seatrial.dev/retreat"
_PORTS: Final = [{"name": "http", "port": PORT, "targetPort": PORT, "protocol": "TCP", "appProtocol": "http"}]


class ServiceRouter(CountedElsewhere):
    """One Service `seatrial-<product>` in the cluster; everything is there, so that whoever asks sees the same."""

    def __init__(self, cluster: Cluster, counters: Counters) -> None:
        super().__init__(counters)
        self._cluster = cluster

    def read(self, product: str) -> Routing | None:
        """See `Router`: what the selector and the labels of the ready pods make, whatever was wanted."""
        with self._reaching():
            service = self._service(product)
            return None if service is None else self._routing(product, service, _ready(self._pods(product)))

    def apply(self, product: str, routing: Routing, token: int | None = None) -> None:
        """See `Router`. Raises `RouterRefused` for what whole pods cannot make, and a foreign Service of our name."""
        wanted = accepted(product, routing)
        if wanted.matches or wanted.mirror or wanted.key:
            raise RouterRefused(
                f"{product}: a Service without a Gateway splits by pods only: no matches, mirrors or sticky keys"
            )
        with self._reaching():
            service, everybody = self._claimed(product, token), self._pods(product)
            pods = _ready(everybody)
            live = None if service is None else self._routing(product, service, pods)
            addresses = {version: set(map(_address, each)) for version, each in pods.items()}
            if missing := servers_missing(live, wanted, lambda version, each: each in addresses.get(version, set())):
                raise RouterRefused(f"{product}: {', '.join(missing)} is not ready: start it, then apply again")
            self._serve(product, wanted, everybody, token)

    def retreat(self, product: str, version: int, note: Retreat, token: int | None = None) -> None:
        """See `Router.retreat`: a switch of the selector."""
        with self._reaching():
            service, pods = self._our_service(product), _ready(self._pods(product))
            live = None if service is None else self._routing(product, service, pods)
            if has_everything(version, live):
                return
            if service is None or not pods.get(version):
                raise unknown(product, version)
            backends = tuple(Backend(each, tuple(map(_address, there))) for each, there in sorted(pods.items()))
            self._select(product, labels_of(product, version), everything_to(product, version, backends), token, note)

    def retreated(self, product: str) -> Retreat | None:
        """See `Router.retreated`; it is an annotation of the Service."""
        with self._reaching():
            service = self._service(product)
        told = ((service or {}).get("metadata", {}).get("annotations") or {}).get(_RETREAT)
        try:
            return Retreat.read(json.loads(told)) if told else None
        except ValueError:
            return None

    def copies(self, product: str) -> Mapping[Source, Counts]:
        """See `Router`: there never are any."""
        del product
        return {}

    def remove(self, product: str, token: int | None = None) -> None:
        """See `Router`. With the Service its token is forgotten."""
        with self._reaching():
            for _ in range(TRIES):
                if (found := self._service(product)) is None:
                    return
                token_annotation((found,), product, token)
                version = None if token is None else found["metadata"]["resourceVersion"]
                with suppress(Conflicting):
                    self._cluster.delete(SERVICE, _name(found), uid=found["metadata"]["uid"], version=version)
                    return
            raise _others_are_quicker(product)

    def newest_token(self, product: str) -> int:
        """See `Router.newest_token`."""
        with self._reaching():
            found = self._service(product)
            return newest_token((found,) if found else (), product)

    def _claimed(self, product: str, token: int | None) -> Object | None:
        """The Service, once it remembers `token`: pods are marked one by one, and nobody else does so meanwhile."""
        for _ in range(TRIES):
            found = self._our_service(product)
            annotations = token_annotation((found,) if found else (), product, token)
            if found is None or not annotations:
                return found
            with suppress(Conflicting):
                metadata = {"resourceVersion": found["metadata"]["resourceVersion"], "annotations": annotations}
                return self._cluster.merge(SERVICE, _name(found), {"metadata": metadata})
        raise _others_are_quicker(product)

    def _serve(self, product: str, wanted: Routing, everybody: Sequence[Object], token: int | None) -> None:
        weights, pods = wanted.weights, _ready(everybody)
        versions = [version for version, part in weights.parts.items() if part]
        if len(versions) == 1:
            self._select(product, labels_of(product, versions[0]), wanted, token)
            return
        counts = pods_for(weights, {version: len(each) for version, each in pods.items()})
        if counts is None:
            there = ", ".join(f"{len(each)} of v{version}" for version, each in sorted(pods.items()))
            raise RouterRefused(
                f"{product}: {weights} cannot be made of whole pods ({there} are ready): "
                "raise rollout.replicas, choose other weights, or name a Gateway in rollout.kubernetes.gateway"
            )
        serving = {pod["metadata"]["name"] for version, count in counts.items() for pod in pods[version][:count]}
        # Whoever joins does so before others leave, be it one that is not ready just now.
        for pod in sorted(everybody, key=lambda pod: pod["metadata"]["name"] not in serving):
            if _serves(pod) != (pod["metadata"]["name"] in serving):
                if token is not None:
                    self._claimed(product, token)
                self._mark(pod, pod["metadata"]["name"] in serving)
        self._select(product, labels_of(product) | {_SERVING: "true"}, wanted, token)

    def _mark(self, pod: Object, serves: bool) -> None:
        labels = {_SERVING: "true" if serves else None}
        self._cluster.merge(POD, pod["metadata"]["name"], {"metadata": {"labels": labels}})

    def _select(
        self,
        product: str,
        selector: Mapping[str, str],
        wanted: Routing,
        token: int | None,
        note: Retreat | None = None,
    ) -> None:
        told = _told(wanted) | {_RETREAT: json.dumps(note.document()) if note else None}
        for _ in range(TRIES):
            found = self._our_service(product)
            # There is one already if the answer to the first attempt was lost.
            with suppress(Conflicting):
                if found is None:
                    self._create(product, selector, wanted, token)
                else:
                    self._point(found, selector, told | token_annotation((found,), product, token), token)
                return
        raise _others_are_quicker(product)

    def _create(self, product: str, selector: Mapping[str, str], wanted: Routing, token: int | None) -> None:
        name, annotations = product_object_name(product), _told(wanted) | annotation(product, token)
        metadata = {"name": name, "labels": labels_of(product), "annotations": annotations}
        self._cluster.create(SERVICE, {"metadata": metadata, "spec": {"selector": selector, "ports": _PORTS}})

    def _point(
        self, found: Object, selector: Mapping[str, str], told: Mapping[str, str | None], token: int | None
    ) -> None:
        # Apply would leave the former selector's version in.
        gone = {name: None for name in found["spec"].get("selector") or {} if name not in selector}
        metadata: Object = {"annotations": told}
        if token is not None:
            metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        patch = {"metadata": metadata, "spec": {"selector": {**selector, **gone}, "ports": _PORTS}}
        self._cluster.merge(SERVICE, _name(found), patch)

    def _service(self, product: str) -> Object | None:
        """The Service of that name; None for none, and for one that is somebody else's."""
        with suppress(RouterRefused):
            return self._our_service(product)
        return None

    def _our_service(self, product: str) -> Object | None:
        """The same, but raises `RouterRefused` for one that is somebody else's."""
        found = self._cluster.get(SERVICE, product_object_name(product))
        if found is not None and not is_ours(found, product):
            raise RouterRefused(
                f"Service {found['metadata']['name']} in namespace {self._cluster.namespace} is not ours: "
                "rename or remove it"
            )
        return found

    def _routing(self, product: str, service: Object, pods: Mapping[int, list[Object]]) -> Routing | None:
        weights, known = self._weights(product, service, pods), _known_of(service)
        if weights is None:
            return None
        asked = {version for version, part in weights.parts.items() if part}
        nowhere = user_address(f"{product_object_name(product)}.{self._cluster.namespace}")
        backends = [
            Backend(version, tuple(map(_address, pods.get(version, ()))) or (nowhere,))
            for version in sorted(asked | (known & set(pods)))
        ]
        return Routing(tuple(backends), weights)

    def _weights(self, product: str, service: Object, pods: Mapping[int, list[Object]]) -> Weights | None:
        """What the selector makes; None if it is none of those that we write."""
        selector, wanted = service["spec"].get("selector") or {}, _wanted_of(service)
        version = version_of({"metadata": {"labels": selector}})
        if version is not None and selector == labels_of(product, version):
            alone = wanted is not None and wanted.of(version) == 100
            return wanted if alone else Weights.all_to(version)
        if selector == labels_of(product) | {_SERVING: "true"}:
            return weights_of(Counter({each: sum(map(_serves, pods[each])) for each in pods}), wanted)
        return None

    def _pods(self, product: str) -> list[Object]:
        """Those that stay, by name; those that serve first."""
        found, _ = self._cluster.list(POD, selector_of(product))
        staying = (pod for pod in found if not pod["metadata"].get("deletionTimestamp"))
        return sorted(staying, key=lambda pod: (not _serves(pod), pod["metadata"]["name"]))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        with errors_as(RouterUnreachable, f"cluster {self._cluster.address}"):
            yield


def _name(service: Object) -> str:
    return str(service["metadata"]["name"])


def _others_are_quicker(product: str) -> RouterUnreachable:
    return RouterUnreachable(f"{product}: others keep changing Service {product_object_name(product)}: try again")


def _ready(pods: Iterable[Object]) -> dict[int, list[Object]]:
    """The ready ones of each version."""
    ready: dict[int, list[Object]] = {}
    for pod in pods:
        version = version_of(pod)
        if version is not None and _is_ready(pod):
            ready.setdefault(version, []).append(pod)
    return ready


def _told(wanted: Routing) -> dict[str, str | None]:
    """What cannot be read from the pods: the exact weights, and which versions are known."""
    weights = {str(version): part for version, part in wanted.weights.parts.items()}
    return {_WANTED: json.dumps(weights), _KNOWN: ",".join(str(each.version) for each in wanted.backends)}


def _known_of(service: Object) -> set[int]:
    told = (service["metadata"].get("annotations") or {}).get(_KNOWN, "")
    return {int(version) for version in told.split(",") if version.isdigit()}


def _wanted_of(service: Object) -> Weights | None:
    try:
        told = json.loads((service["metadata"].get("annotations") or {})[_WANTED])
        return Weights.of_parts({int(version): int(part) for version, part in told.items()})
    except (KeyError, ValueError, AttributeError):
        return None


def _serves(pod: Object) -> bool:
    return bool((pod["metadata"].get("labels") or {}).get(_SERVING) == "true")


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    well = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return well and bool(pod["status"].get("podIP"))


def _address(pod: Object) -> str:
    return user_address(pod["status"]["podIP"])
