"""What the server fills in where the writer left a field out, so that clients see more than they sent."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

from .kinds import GATEWAY_GROUP, Json, Kind

PROBES = ("livenessProbe", "readinessProbe", "startupProbe")


def fill_in(kind: Kind, thing: Json) -> None:
    """Set the documented defaults in `thing`."""
    if filler := FILLERS.get(kind.name):
        filler(thing)
    if "status" in kind.subresources and not kind.custom:
        thing.setdefault("status", {"loadBalancer": {}} if kind.name == "Service" else {})


def _set(target: Json, **values: Any) -> Json:
    for name, value in values.items():
        target.setdefault(name, value)
    return target


def _pod(pod: Json) -> None:
    spec = pod.setdefault("spec", {})
    _pod_spec(spec)
    _set(spec, serviceAccountName="default", serviceAccount="default", enableServiceLinks=True)
    _set(spec, preemptionPolicy="PreemptLowerPriority", priority=0)
    tolerations = spec.setdefault("tolerations", [])
    for trouble in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{trouble}"
        if not any(toleration.get("key") == key for toleration in tolerations):
            tolerations.append({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})


def _pod_spec(spec: Json) -> None:
    _set(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _set(spec, terminationGracePeriodSeconds=30, securityContext={})
    if "serviceAccountName" in spec:
        _set(spec, serviceAccount=spec["serviceAccountName"])
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        _container(container)
    for volume in spec.get("volumes") or []:
        for source in ("configMap", "secret", "projected", "downwardAPI"):
            if source in volume:
                _set(volume[source], defaultMode=420)


def _container(container: Json) -> None:
    image = container.get("image", "")
    latest = "@" not in image and (":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest"))
    _set(container, imagePullPolicy="Always" if latest else "IfNotPresent", resources={})
    _set(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    for port in container.get("ports") or []:
        _set(port, protocol="TCP")
    for variable in container.get("env") or []:
        if "fieldRef" in variable.get("valueFrom", {}):
            _set(variable["valueFrom"]["fieldRef"], apiVersion="v1")
    for name in PROBES:
        if probe := container.get(name):
            _set(probe, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in probe:
                _set(probe["httpGet"], scheme="HTTP", path="/")


def _deployment(deployment: Json) -> None:
    spec = deployment.setdefault("spec", {})
    _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = _set(spec.setdefault("strategy", {}), type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy.setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _template(spec: Json) -> None:
    if "template" in spec:
        _pod_spec(spec["template"].setdefault("spec", {}))


def _replica_set(replica_set: Json) -> None:
    _template(_set(replica_set.setdefault("spec", {}), replicas=1))


def _service(service: Json) -> None:
    spec = _set(service.setdefault("spec", {}), type="ClusterIP", sessionAffinity="None")
    _set(spec, internalTrafficPolicy="Cluster")
    for port in spec.get("ports") or []:
        _set(port, protocol="TCP", targetPort=port.get("port"))


def _secret(secret: Json) -> None:
    _set(secret, type="Opaque")
    for name, text in (secret.pop("stringData", None) or {}).items():
        secret.setdefault("data", {})[name] = b64encode(text.encode()).decode()


def _namespace(namespace: Json) -> None:
    _set(namespace.setdefault("spec", {}), finalizers=["kubernetes"])
    labels = namespace["metadata"].setdefault("labels", {})
    labels["kubernetes.io/metadata.name"] = namespace["metadata"]["name"]
    _set(namespace.setdefault("status", {}), phase="Active")


def _lease(lease: Json) -> None:
    spec = lease.get("spec") or {}
    for name in ("acquireTime", "renewTime"):
        if isinstance(spec.get(name), str):
            spec[name] = spec[name].replace("+00:00", "Z")


def _autoscaler(autoscaler: Json) -> None:
    _set(autoscaler.setdefault("spec", {}), minReplicas=1)


def _route(route: Json) -> None:
    spec = route.setdefault("spec", {})
    for parent in spec.get("parentRefs") or []:
        _set(parent, group=GATEWAY_GROUP, kind="Gateway")
    for rule in spec.setdefault("rules", [{}]):
        for match in rule.setdefault("matches", [{}]):
            _match(match)
        for backend in rule.get("backendRefs") or []:
            _set(backend, group="", kind="Service", weight=1)
            _filters(backend)
        _filters(rule)


def _match(match: Json) -> None:
    _set(match.setdefault("path", {}), type="PathPrefix", value="/")
    for name in ("headers", "queryParams"):
        for term in match.get(name) or []:
            _set(term, type="Exact")


def _filters(holder: Json) -> None:
    for each in holder.get("filters") or []:
        if mirror := each.get("requestMirror"):
            _set(mirror["backendRef"], group="", kind="Service")
            if "fraction" in mirror:
                _set(mirror["fraction"], denominator=100)
        if redirect := each.get("requestRedirect"):
            _set(redirect, statusCode=302)


def _gateway(gateway: Json) -> None:
    for listener in gateway.setdefault("spec", {}).get("listeners") or []:
        allowed = listener.setdefault("allowedRoutes", {})
        _set(allowed.setdefault("namespaces", {}), **{"from": "Same"})


FILLERS: dict[str, Callable[[Json], None]] = {
    "Deployment": _deployment,
    "Gateway": _gateway,
    "HTTPRoute": _route,
    "HorizontalPodAutoscaler": _autoscaler,
    "Lease": _lease,
    "Namespace": _namespace,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "Secret": _secret,
    "Service": _service,
}
