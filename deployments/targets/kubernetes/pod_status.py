"""What a pod is doing, and why it is not ready, from its status and its events."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from deployments.cluster.object_names import TEMPLATE, user_address
from deployments.targets.protocol import Replica, ReplicaState

Object = Mapping[str, Any]

# Reasons of a waiting container that no waiting cures.
_HOPELESS: Final = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)


def replica_of(pod: Object, events: Iterable[Object] = ()) -> Replica:
    """A pod as a replica; `events` are those of the pod, and say why it is not scheduled, pulled or well."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    address = user_address(status.get("podIP") or name)
    if pod["metadata"].get("deletionTimestamp"):
        return Replica(name, address, ReplicaState.STOPPING)
    if is_over(pod):
        detail = str(status.get("message") or status.get("reason") or "the pod failed")
        return Replica(name, address, ReplicaState.STOPPING, detail)
    if _condition(status, "Ready") == "True":
        return Replica(name, address, ReplicaState.READY)
    if problem := _failure(status):
        return Replica(name, address, ReplicaState.FAILED, problem)
    return Replica(name, address, ReplicaState.STARTING, _delay(status, events))


def missing_replica(name: str, deployment: Object, place: int) -> Replica:
    """A pod that its Deployment could not even make: a quota, an admission policy, or simply not yet."""
    refusal = _of_kind(deployment.get("status") or {}, "ReplicaFailure")
    refused = refusal.get("status") == "True"
    state = ReplicaState.FAILED if refused else ReplicaState.STARTING
    detail = str(refusal.get("message") or refusal.get("reason")) if refused else ""
    to_come = f"{name}-pod-{place}-to-come"
    return Replica(to_come, user_address(to_come), state, detail)


def is_outdated(pod: Object, deployment: Object) -> bool:
    """Whether a pod was made from another template than the one that its Deployment has now, and so will go."""
    labels = deployment["spec"]["template"]["metadata"].get("labels") or {}
    return bool((pod["metadata"].get("labels") or {}).get(TEMPLATE) != labels.get(TEMPLATE))


def is_over(pod: Object) -> bool:
    """Whether a node ended it (an eviction, a shutdown): another takes its place, and it only stays in the list."""
    return bool((pod.get("status") or {}).get("phase") == "Failed")


def too_late(pod: Object, deployment: Object) -> str:
    """What a Deployment says of its progress if its time was over while this pod was there; empty while it may come."""
    told = _of_kind(deployment.get("status") or {}, "Progressing")
    over = told.get("reason") == "ProgressDeadlineExceeded" and told["status"] == "False"
    waited_for = over and pod["metadata"]["creationTimestamp"] < told["lastTransitionTime"]
    return str(told.get("message") or told["reason"]) if waited_for else ""


def runs(pod: Object) -> bool:
    """Whether each of its containers runs, ready or not."""
    containers = (pod.get("status") or {}).get("containerStatuses") or ()
    return bool(containers) and all((each.get("state") or {}).get("running") for each in containers)


def wants_events(pod: Object) -> bool:
    """Whether events could say more about a pod than its status does."""
    status = pod.get("status") or {}
    return not pod["metadata"].get("deletionTimestamp") and _condition(status, "Ready") != "True"


def _failure(status: Object) -> str:
    """Why it will not come up; empty while it may."""
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        ended = _ended(container)
        if waiting.get("reason") in _HOPELESS:
            why = ended or waiting.get("message") or ""
            return f"container {container['name']}: {waiting['reason']}{f': {why}' if why else ''}"
        # Exit code 2 is what the server ends with for a model that must not be served.
        if ended and container.get("restartCount", 0) >= 1 and _last_code(container) == 2:
            return f"container {container['name']}: {ended}"
    return ""


def _delay(status: Object, events: Iterable[Object]) -> str:
    """What it waits for, as far as anybody has said."""
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"not scheduled: {condition.get('message') or condition.get('reason')}"
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in {None, "PodInitializing", "ContainerCreating"}:
            return f"container {container['name']}: {waiting['reason']}: {waiting.get('message', '')}"
    for container in status.get("initContainerStatuses") or ():
        if (container.get("state") or {}).get("running"):
            return f"container {container['name']} is still at work"
    warnings = [each for each in events if each.get("type") == "Warning"]
    return f"{warnings[-1].get('reason')}: {warnings[-1].get('message')}" if warnings else ""


def _ended(container: Object) -> str:
    ended = _last_end(container)
    if not ended:
        return ""
    said = str(ended.get("message") or ended.get("reason") or "").strip()
    return f"exit code {ended.get('exitCode')}{f': {said}' if said else ''}"


def _last_code(container: Object) -> int:
    return int(_last_end(container).get("exitCode") or 0)


def _last_end(container: Object) -> Object:
    states: Sequence[Object] = (container.get("state") or {}, container.get("lastState") or {})
    return next((each["terminated"] for each in states if each.get("terminated")), {})


def _condition(status: Object, kind: str) -> str:
    return str(_of_kind(status, kind).get("status", "Unknown"))


def _of_kind(status: Object, kind: str) -> Object:
    return next((each for each in status.get("conditions") or [] if each["type"] == kind), {})
