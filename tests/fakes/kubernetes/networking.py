"""The controllers of Services, Gateways and HTTPRoutes: endpoints of the pods, and what a Gateway thinks of a route."""

from .kinds import BY_NAME, GATEWAY_GROUP, Json
from .lifecycle import Lifecycle
from .ownership import Manager
from .pods import is_ready, with_time
from .scripts import Scripts, Verdict
from .selection import matches_labels
from .store import key_of

SERVICE, SLICE, POD = BY_NAME["Service"], BY_NAME["EndpointSlice"], BY_NAME["Pod"]
ROUTE, GATEWAY, GRANT = BY_NAME["HTTPRoute"], BY_NAME["Gateway"], BY_NAME["ReferenceGrant"]
NAMESPACE = BY_NAME["Namespace"]
CONTROLLER = Manager("kube-controller-manager")
GATEWAY_CONTROLLER = Manager("gateway-controller", "Update", "status")
CONTROLLER_NAME = "example.net/gateway-controller"
SERVICE_LABEL = "kubernetes.io/service-name"
GATEWAY_ADDRESS = "192.0.2.80"


class Networking:
    """Makes Services find their pods and Gateways accept routes."""

    def __init__(self, lifecycle: Lifecycle, scripts: Scripts) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._scripts = scripts

    def settle_service(self, service: Json) -> None:
        """Its EndpointSlice holds every pod that has an address, ready or not, as the real one does."""
        selector = service["spec"].get("selector")
        if not selector:
            return
        namespace, name = key_of(service)
        pods = [
            pod
            for pod in self._store.all(POD, namespace)
            if matches_labels({"matchLabels": selector}, pod["metadata"].get("labels") or {})
            and pod.get("status", {}).get("podIP")
        ]
        wanted = {"endpoints": [_endpoint(pod) for pod in pods], "ports": _ports(service, pods), "addressType": "IPv4"}
        known = [slice_ for slice_ in self._store.all(SLICE, namespace) if _belongs(slice_, name)]
        if known:
            self._lifecycle.change(SLICE, key_of(known[0]), lambda live: {**live, **wanted}, CONTROLLER)
            return
        owner = {"apiVersion": "v1", "kind": "Service", "name": name, "uid": service["metadata"]["uid"]}
        managed_by = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
        metadata = {
            "generateName": f"{name}-",
            "labels": {**(service["metadata"].get("labels") or {}), SERVICE_LABEL: name, **managed_by},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        }
        self._lifecycle.create(SLICE, namespace, {"metadata": metadata, **wanted}, CONTROLLER)

    def settle_gateway(self, gateway: Json) -> None:
        """Accepted and programmed, with an address, and a count of the routes at each listener."""
        known = gateway.get("status", {}).get("conditions") or []
        listeners = [
            {
                "name": listener["name"],
                "attachedRoutes": self._attached(gateway, listener["name"]),
                "supportedKinds": [{"group": GATEWAY_GROUP, "kind": "HTTPRoute"}],
                "conditions": [],
            }
            for listener in gateway["spec"].get("listeners") or []
        ]
        status = {
            "addresses": [{"type": "IPAddress", "value": GATEWAY_ADDRESS}],
            "conditions": [
                self._condition(gateway, known, name, Verdict(holds=True, reason=name))
                for name in ("Accepted", "Programmed")
            ],
            "listeners": listeners,
        }
        self._lifecycle.change(GATEWAY, key_of(gateway), lambda live: {**live, "status": status}, GATEWAY_CONTROLLER)

    def settle_route(self, route: Json) -> None:
        """What each Gateway that it names says of it; one that does not exist says nothing."""
        name = route["metadata"]["name"]
        if name in self._scripts.ignored_routes:
            return
        parents = [
            self._parent(route, parent)
            for parent in route["spec"].get("parentRefs") or []
            if self._gateway(route, parent) is not None
        ]
        if not parents and not route.get("status"):
            return
        status = {"parents": parents}
        self._lifecycle.change(ROUTE, key_of(route), lambda live: {**live, "status": status}, GATEWAY_CONTROLLER)

    def _parent(self, route: Json, parent: Json) -> Json:
        known: Json = next(
            (each for each in route.get("status", {}).get("parents") or [] if each["parentRef"] == parent), {}
        )
        scripted = self._scripts.routes.get(route["metadata"]["name"], {})
        verdicts = {"Accepted": self._accepted(route, parent), "ResolvedRefs": self._resolved(route)} | scripted
        conditions = [
            self._condition(route, known.get("conditions") or [], name, verdict) for name, verdict in verdicts.items()
        ]
        return {"parentRef": parent, "controllerName": CONTROLLER_NAME, "conditions": conditions}

    def _accepted(self, route: Json, parent: Json) -> Verdict:
        gateway = self._gateway(route, parent)
        assert gateway is not None
        listeners = [
            listener
            for listener in gateway["spec"].get("listeners") or []
            if parent.get("sectionName") in (None, listener["name"]) and parent.get("port") in (None, listener["port"])
        ]
        if not listeners:
            return Verdict(holds=False, reason="NoMatchingParent", message="No listeners match this parent ref")
        if not any(self._lets_in(gateway, listener, route) for listener in listeners):
            message = "No listeners included by this parent ref allowed this attachment."
            return Verdict(holds=False, reason="NotAllowedByListeners", message=message)
        return Verdict(holds=True, reason="Accepted", message="Route is accepted")

    def _lets_in(self, gateway: Json, listener: Json, route: Json) -> bool:
        allowed = listener.get("allowedRoutes", {}).get("namespaces", {})
        namespace = route["metadata"]["namespace"]
        match allowed.get("from", "Same"):
            case "All":
                return True
            case "Selector":
                home = self._store.get(NAMESPACE, "", namespace)
                labels = (home or {"metadata": {}})["metadata"].get("labels") or {}
                return matches_labels(allowed.get("selector"), labels)
        return bool(namespace == gateway["metadata"]["namespace"])

    def _resolved(self, route: Json) -> Verdict:
        namespace = route["metadata"]["namespace"]
        for backend in _backends(route):
            if (backend.get("group"), backend.get("kind")) != ("", "Service"):
                message = f"Group is invalid, only the core API group and Service are supported: {backend.get('kind')}"
                return Verdict(holds=False, reason="InvalidKind", message=message)
            home = backend.get("namespace") or namespace
            if home != namespace and not self._granted(namespace, home, backend["name"]):
                message = f"Backend ref to Service {home}/{backend['name']} not permitted by any ReferenceGrant."
                return Verdict(holds=False, reason="RefNotPermitted", message=message)
            if self._store.get(SERVICE, home, backend["name"]) is None:
                message = f"service {home}/{backend['name']} not found"
                return Verdict(holds=False, reason="BackendNotFound", message=message)
        return Verdict(holds=True, reason="ResolvedRefs", message="Resolved all the Object references for the Route")

    def _granted(self, origin: str, home: str, service: str) -> bool:
        wanted = {"group": GATEWAY_GROUP, "kind": "HTTPRoute", "namespace": origin}
        return any(
            wanted in grant["spec"].get("from", [])
            and any(
                to.get("kind") == "Service" and to.get("name") in (None, service) for to in grant["spec"].get("to", [])
            )
            for grant in self._store.all(GRANT, home)
        )

    def _gateway(self, route: Json, parent: Json) -> Json | None:
        home = parent.get("namespace") or route["metadata"]["namespace"]
        return self._store.get(GATEWAY, home, parent["name"]) if parent.get("kind") == "Gateway" else None

    def _attached(self, gateway: Json, listener: str) -> int:
        return sum(
            self._gateway(route, parent) is gateway and parent.get("sectionName") in (None, listener)
            for route in self._store.all(ROUTE)
            for parent in route["spec"].get("parentRefs") or []
        )

    def _condition(self, thing: Json, known: list[Json], name: str, verdict: Verdict) -> Json:
        wanted = {
            "type": name,
            "status": str(verdict.holds),
            "reason": verdict.reason,
            "message": verdict.message,
            "observedGeneration": thing["metadata"]["generation"],
        }
        return with_time(wanted, known, self._lifecycle.timestamp())


def _belongs(slice_: Json, service: str) -> bool:
    return bool((slice_["metadata"].get("labels") or {}).get(SERVICE_LABEL) == service)


def _endpoint(pod: Json) -> Json:
    ready, going = is_ready(pod), "deletionTimestamp" in pod["metadata"]
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": ready, "terminating": going},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {
            "kind": "Pod",
            "namespace": pod["metadata"]["namespace"],
            "name": pod["metadata"]["name"],
            "uid": pod["metadata"]["uid"],
        },
    }


def _ports(service: Json, pods: list[Json]) -> list[Json]:
    return [
        {"name": port.get("name", ""), "port": _number(port["targetPort"], pods), "protocol": port["protocol"]}
        for port in service["spec"].get("ports") or []
    ]


def _number(target: int | str, pods: list[Json]) -> int | None:
    """The number of a port that a Service calls by its name in the pods."""
    if isinstance(target, int):
        return target
    named = (
        port["containerPort"]
        for pod in pods
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or []
        if port.get("name") == target
    )
    return next(named, None)


def _backends(route: Json) -> list[Json]:
    found: list[Json] = []
    for rule in route["spec"].get("rules") or []:
        found += rule.get("backendRefs") or []
        found += [each["requestMirror"]["backendRef"] for each in rule.get("filters") or [] if "requestMirror" in each]
    return found
