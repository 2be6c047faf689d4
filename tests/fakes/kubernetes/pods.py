"""The scheduler and the kubelet: pods get a node and an address, and a status by their script; deleted ones end."""

import hashlib
from typing import Any

from .kinds import BY_NAME, Json
from .lifecycle import Lifecycle
from .ownership import Manager
from .preconditions import Deletion
from .refusals import Refused
from .scripts import Fate, PodScript, Scripts
from .store import key_of

POD, EVENT = BY_NAME["Pod"], BY_NAME["Event"]
KUBELET = Manager("kubelet", "Update", "status")
SCHEDULER = Manager("kube-scheduler", "Update", "status")
NODE_CONTROLLER = Manager("kube-controller-manager", "Update", "status")
NODES = {"node-1": "192.0.2.11", "node-2": "192.0.2.12"}
PROBE_FAILED = "Readiness probe failed: HTTP probe failed with statuscode: 503"
UNSCHEDULED = (
    "0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes are available: "
    "1 No preemption victims found for incoming pod."
)


class Pods:
    """Plays the scripts of pods."""

    def __init__(self, lifecycle: Lifecycle, scripts: Scripts) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._scripts = scripts
        self._addresses = 0

    def settle(self, pod: Json) -> None:
        """One step of that pod: it ends, is given a node, or changes its status."""
        script = self.script_of(pod)
        lost = pod["spec"].get("nodeName") in self._scripts.lost_nodes
        if "deletionTimestamp" in pod["metadata"]:
            if script.terminates and not lost and not pod["metadata"].get("finalizers"):
                self._store.remove(POD, pod)
            return
        if lost:
            self._evict_from_lost_node(pod)
            return
        if "nodeName" not in pod["spec"]:
            nodes = [node for node in NODES if node not in self._scripts.lost_nodes]
            if script.fate == Fate.UNSCHEDULABLE or not nodes:
                self._leave_unscheduled(pod, script)
                return
            pod = self._schedule(pod, nodes[self._addresses % len(nodes)])
        self._tell_status(pod, script)

    def script_of(self, pod: Json) -> PodScript:
        """The pod's own, or that of its Deployment."""
        owner = next((owner["name"] for owner in pod["metadata"].get("ownerReferences") or []), "")
        return self._scripts.of_pod(pod["metadata"]["name"], owner.rpartition("-")[0])

    def tell(self, thing: Json, kind: str, api_version: str, happened: tuple[str, str, str], source: str) -> None:
        """An Event about the object: `happened` is its type, reason and message. The same again is not told twice."""
        type_, reason, message = happened
        metadata = thing["metadata"]
        code = hashlib.sha256(f"{metadata['uid']} {reason} {message}".encode()).hexdigest()[:16]
        namespace = metadata.get("namespace", "default")
        name = f"{metadata['name']}.{code}"
        if self._store.get(EVENT, namespace, name):
            return
        now = self._lifecycle.timestamp()
        event = {
            "metadata": {"name": name},
            "involvedObject": {
                "kind": kind,
                "apiVersion": api_version,
                "namespace": namespace,
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": type_,
            "reason": reason,
            "message": message,
            "source": {"component": source},
            "reportingComponent": source,
            "reportingInstance": thing["spec"].get("nodeName", "") if source == "kubelet" else "",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "count": 1,
        }
        try:
            self._lifecycle.create(EVENT, namespace, event, Manager(source))
        except Refused:
            return  # a namespace on its way out takes no events

    def _leave_unscheduled(self, pod: Json, script: PodScript) -> None:
        message = script.message or UNSCHEDULED
        condition = self._condition(pod, "PodScheduled", holds=False, reason="Unschedulable", message=message)
        self._set_status(pod, {"phase": "Pending", "conditions": [condition], "qosClass": "Burstable"}, SCHEDULER)
        self.tell(pod, "Pod", "v1", ("Warning", "FailedScheduling", message), "default-scheduler")

    def _evict_from_lost_node(self, pod: Json) -> None:
        """Nobody can end the pod there: it stays, marked as deleted, until the node is back."""
        self.tell(pod, "Pod", "v1", ("Warning", "NodeNotReady", "Node is not ready"), "node-controller")
        conditions = [
            condition
            if condition["type"] != "Ready"
            else self._condition(pod, "Ready", holds=False, reason="NodeNotReady", message="Node is not ready")
            for condition in pod.get("status", {}).get("conditions") or []
        ]
        self._set_status(pod, {**pod.get("status", {}), "conditions": conditions}, NODE_CONTROLLER)
        self._lifecycle.delete(POD, key_of(pod), Deletion())

    def _schedule(self, pod: Json, node: str) -> Json:
        name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        told = ("Normal", "Scheduled", f"Successfully assigned {name} to {node}")
        self.tell(pod, "Pod", "v1", told, "default-scheduler")

        def bind(live: Json) -> Json:
            live["spec"]["nodeName"] = node
            return live

        return self._lifecycle.change(POD, key_of(pod), bind, Manager("kube-scheduler"))

    def _tell_status(self, pod: Json, script: PodScript) -> None:
        ready = script.fate == Fate.READY
        containers = [container["name"] for container in pod["spec"]["containers"]]
        unready = "" if ready else f"containers with unready status: [{' '.join(containers)}]"
        why = "" if ready else "ContainersNotReady"
        conditions = [
            self._condition(pod, "PodReadyToStartContainers", holds=True),
            self._condition(pod, "Initialized", holds=True),
            self._condition(pod, "Ready", holds=ready, reason=why, message=unready),
            self._condition(pod, "ContainersReady", holds=ready, reason=why, message=unready),
            self._condition(pod, "PodScheduled", holds=True),
        ]
        before: Json = pod.get("status", {})
        host = NODES.get(pod["spec"]["nodeName"], "192.0.2.10")
        status: Json = {
            "phase": "Pending" if script.fate == Fate.IMAGE_MISSING else "Running",
            "conditions": conditions,
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "startTime": before.get("startTime") or self._lifecycle.timestamp(),
            "qosClass": "Burstable",
            "observedGeneration": pod["metadata"]["generation"],
            "containerStatuses": [self._container(pod, container, script) for container in pod["spec"]["containers"]],
        }
        address = before.get("podIP") or self._new_address()
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
        self._set_status(pod, status, KUBELET)
        self._tell_events(pod, script)

    def _container(self, pod: Json, container: Json, script: PodScript) -> Json:
        known = pod.get("status", {}).get("containerStatuses") or []
        before: Json = next((status for status in known if status["name"] == container["name"]), {})
        started = before.get("state", {}).get("running", {}).get("startedAt") or self._lifecycle.timestamp()
        ready = script.fate == Fate.READY
        status: Json = {
            "name": container["name"],
            "image": container.get("image", ""),
            "imageID": "" if script.fate == Fate.IMAGE_MISSING else f"{container.get('image', '')}@sha256:{'0' * 64}",
            "ready": ready,
            "started": script.fate in (Fate.READY, Fate.PROBE_FAILING),
            "restartCount": before.get("restartCount", 0),
            "state": {"running": {"startedAt": started}},
            "lastState": before.get("lastState", {}),
        }
        return status | self._trouble(pod, container, script, before)

    def _trouble(self, pod: Json, container: Json, script: PodScript, before: Json) -> Json:
        name = container["name"]
        if script.fate == Fate.IMAGE_MISSING:
            image = container.get("image", "")
            reason = "ImagePullBackOff" if "waiting" in before.get("state", {}) else "ErrImagePull"
            message = script.message or f'Back-off pulling image "{image}": ErrImagePull: {image}: not found'
            return {"state": {"waiting": {"reason": reason, "message": message}}}
        if script.fate != Fate.CRASHING:
            return {}
        metadata = pod["metadata"]
        called = f"pod={metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        message = f"back-off 5m0s restarting failed container={name} {called}"
        known = before.get("lastState", {}).get("terminated", {})
        now = self._lifecycle.timestamp()
        ended = {"exitCode": script.exit_code, "reason": script.reason, "startedAt": known.get("startedAt", now)}
        ended |= {"finishedAt": known.get("finishedAt", now)} | ({"message": script.message} if script.message else {})
        waiting = {"reason": "CrashLoopBackOff", "message": message}
        return {"state": {"waiting": waiting}, "lastState": {"terminated": ended}, "restartCount": script.restarts}

    def _tell_events(self, pod: Json, script: PodScript) -> None:
        image = pod["spec"]["containers"][0].get("image", "")
        name = pod["spec"]["containers"][0]["name"]
        called = f"{pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
        events: list[tuple[str, str, str]] = []
        match script.fate:
            case Fate.IMAGE_MISSING:
                events = [
                    ("Normal", "Pulling", f'Pulling image "{image}"'),
                    ("Warning", "Failed", script.message or f'Failed to pull image "{image}": {image}: not found'),
                    ("Warning", "Failed", "Error: ErrImagePull"),
                    ("Normal", "BackOff", f'Back-off pulling image "{image}"'),
                    ("Warning", "Failed", "Error: ImagePullBackOff"),
                ]
            case Fate.CRASHING:
                events = [("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {called}")]
            case Fate.PROBE_FAILING:
                events = [("Warning", "Unhealthy", script.message or PROBE_FAILED)]
            case Fate.READY:
                events = [("Normal", "Started", f"Started container {name}")]
        for event in events:
            self.tell(pod, "Pod", "v1", event, "kubelet")

    def _condition(self, pod: Json, name: str, *, holds: bool, reason: str = "", message: str = "") -> Json:
        wanted: dict[str, Any] = {"type": name, "status": str(holds)}
        wanted |= {"observedGeneration": pod["metadata"].get("generation", 1)}
        wanted |= {"reason": reason} if reason else {}
        wanted |= {"message": message} if message else {}
        known = pod.get("status", {}).get("conditions") or []
        return with_time(wanted, known, self._lifecycle.timestamp()) | {"lastProbeTime": None}

    def _set_status(self, pod: Json, status: Json, manager: Manager) -> None:
        if pod.get("status") == status:
            return
        self._lifecycle.change(POD, key_of(pod), lambda live: {**live, "status": status}, manager)

    def _new_address(self) -> str:
        self._addresses += 1
        return f"10.244.{self._addresses // 250}.{self._addresses % 250 + 2}"


def with_time(wanted: Json, known: list[Json], now: str, when: str = "lastTransitionTime") -> Json:
    """The condition with the time since when its status has been what it is."""
    before = next((condition for condition in known if condition["type"] == wanted["type"]), None)
    same = before is not None and before["status"] == wanted["status"]
    return wanted | {when: before.get(when, now) if before is not None and same else now}


def is_ready(pod: Json) -> bool:
    """Whether the pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]
