"""The controllers of Deployments and ReplicaSets: a new template is rolled out, old pods leave as new get ready."""

import hashlib
import json
import math
from typing import Any

from .kinds import BY_NAME, Json
from .lifecycle import Lifecycle
from .ownership import Manager
from .pods import Pods, is_ready, with_time
from .preconditions import Deletion
from .refusals import Refused
from .scripts import Scripts
from .selection import matches_labels
from .store import key_of

DEPLOYMENT, REPLICA_SET, POD = BY_NAME["Deployment"], BY_NAME["ReplicaSet"], BY_NAME["Pod"]
BUDGET = BY_NAME["PodDisruptionBudget"]
CONTROLLER = Manager("kube-controller-manager")
CONTROLLER_STATUS = Manager("kube-controller-manager", "Update", "status")
REVISION = "deployment.kubernetes.io/revision"
HASH_LABEL = "pod-template-hash"


class Workloads:
    """Makes Deployments come to life."""

    def __init__(self, lifecycle: Lifecycle, scripts: Scripts, pods: Pods) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._scripts = scripts
        self._pods = pods
        self._failures: dict[str, str] = {}

    def settle_deployment(self, deployment: Json) -> None:
        """One step of its rollout, and its status."""
        if "deletionTimestamp" in deployment["metadata"]:
            return
        sets = self._owned(REPLICA_SET, deployment)
        new = next(
            (each for each in sets if _template_hash(deployment) == each["metadata"]["labels"][HASH_LABEL]), None
        )
        if not deployment["spec"].get("paused"):
            self._roll(deployment, sets, new)
        self._tell_deployment(deployment)

    def settle_replica_set(self, replica_set: Json) -> None:
        """As many pods as it is to have, and its status."""
        if "deletionTimestamp" in replica_set["metadata"]:
            return
        wanted = replica_set["spec"]["replicas"]
        pods = [pod for pod in self._owned(POD, replica_set) if "deletionTimestamp" not in pod["metadata"]]
        uid = replica_set["metadata"]["uid"]
        known = self._failures.pop(uid, None)
        for _ in range(wanted - len(pods)):
            try:
                self._lifecycle.create(POD, replica_set["metadata"]["namespace"], _pod_of(replica_set), CONTROLLER)
            except Refused as refusal:
                self._failures[uid] = known or str(refusal)
                told = ("Warning", "FailedCreate", f"Error creating: {self._failures[uid]}")
                self._pods.tell(replica_set, "ReplicaSet", "apps/v1", told, "replicaset-controller")
                break
        for pod in sorted(pods, key=is_ready)[: max(0, len(pods) - wanted)]:
            self._lifecycle.delete(POD, key_of(pod), Deletion())
        self._tell_replica_set(replica_set)

    def settle_budget(self, budget: Json) -> None:
        """How many pods may be disturbed."""
        metadata, spec = budget["metadata"], budget["spec"]
        pods = [
            pod
            for pod in self._store.all(POD, metadata["namespace"])
            if matches_labels(spec.get("selector"), pod["metadata"].get("labels") or {})
        ]
        healthy = sum(is_ready(pod) for pod in pods)
        if "maxUnavailable" in spec:
            desired = max(0, len(pods) - _share(spec["maxUnavailable"], len(pods), math.ceil))
        else:
            desired = _share(spec.get("minAvailable", 1), len(pods), math.ceil)
        status = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": max(0, healthy - desired),
            "expectedPods": len(pods),
            "observedGeneration": metadata["generation"],
        }
        self._set_status(BUDGET, budget, status)

    def _roll(self, deployment: Json, sets: list[Json], new: Json | None) -> None:
        wanted = deployment["spec"]["replicas"]
        old = [each for each in sets if new is None or each["metadata"]["uid"] != new["metadata"]["uid"]]
        running = sum(each["spec"]["replicas"] for each in old)
        most, least = _bounds(deployment)
        if deployment["spec"]["strategy"]["type"] == "Recreate" and running:
            for each in old:
                self._scale(each, 0)
            return
        here = new["spec"]["replicas"] if new else 0
        grown = max(min(wanted, most - running), min(here, wanted))
        if new is None:
            new = self._create_set(deployment, grown, len(sets) + 1)
        else:
            self._scale(new, grown)
        self._shrink_old(old, new, least)

    def _shrink_old(self, old: list[Json], new: Json, least: int) -> None:
        """Old pods that are not ready go first; of the others, as many as can be spared."""
        new = self._store.get(REPLICA_SET, *key_of(new)) or new
        unready_new = new["spec"]["replicas"] - _ready(new)
        total = new["spec"]["replicas"] + sum(each["spec"]["replicas"] for each in old)
        spare = total - least - unready_new
        for each in old:
            unready = each["spec"]["replicas"] - _ready(each)
            fewer = max(0, min(unready, spare))
            if fewer:
                self._scale(each, each["spec"]["replicas"] - fewer)
                spare -= fewer
        spare = _ready(new) + sum(_ready(each) for each in old) - least
        for each in old:
            each = self._store.get(REPLICA_SET, *key_of(each)) or each  # noqa: PLW2901 - it may just have shrunk
            fewer = max(0, min(each["spec"]["replicas"], spare))
            if fewer:
                self._scale(each, each["spec"]["replicas"] - fewer)
                spare -= fewer

    def _create_set(self, deployment: Json, replicas: int, revision: int) -> Json:
        metadata, spec = deployment["metadata"], deployment["spec"]
        code = _template_hash(deployment)
        labels = {**spec["template"]["metadata"]["labels"], HASH_LABEL: code}
        selector = {**spec["selector"], "matchLabels": {**spec["selector"].get("matchLabels", {}), HASH_LABEL: code}}
        template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
        made = {
            "metadata": {
                "name": f"{metadata['name']}-{code}",
                "labels": labels,
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [_owner("apps/v1", "Deployment", metadata)],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        return self._lifecycle.create(REPLICA_SET, metadata["namespace"], made, CONTROLLER)

    def _scale(self, replica_set: Json, replicas: int) -> None:
        def change(live: Json) -> Json:
            live["spec"]["replicas"] = replicas
            return live

        self._lifecycle.change(REPLICA_SET, key_of(replica_set), change, CONTROLLER)

    def _tell_replica_set(self, replica_set: Json) -> None:
        pods = [pod for pod in self._owned(POD, replica_set) if "deletionTimestamp" not in pod["metadata"]]
        ready = sum(is_ready(pod) for pod in pods)
        status: Json = {"replicas": len(pods), "observedGeneration": self._generation(REPLICA_SET, replica_set)}
        status |= _counts(fullyLabeledReplicas=len(pods), readyReplicas=ready, availableReplicas=ready)
        if failure := self._failures.get(replica_set["metadata"]["uid"]):
            status["conditions"] = [self._condition(replica_set, "ReplicaFailure", "True", "FailedCreate", failure)]
        self._set_status(REPLICA_SET, replica_set, status)

    def _tell_deployment(self, deployment: Json) -> None:
        sets = self._owned(REPLICA_SET, deployment)
        code = _template_hash(deployment)
        new = next((each for each in sets if each["metadata"]["labels"][HASH_LABEL] == code), None)
        wanted = deployment["spec"]["replicas"]
        total = sum(each.get("status", {}).get("replicas", 0) for each in sets)
        ready = sum(_ready(each) for each in sets)
        updated = new.get("status", {}).get("replicas", 0) if new else 0
        status: Json = {"observedGeneration": self._generation(DEPLOYMENT, deployment)}
        status |= _counts(replicas=total, updatedReplicas=updated, readyReplicas=ready, availableReplicas=ready)
        status |= _counts(unavailableReplicas=max(0, wanted - ready))
        done = updated == wanted == ready == total and (new is None or _ready(new) == wanted)
        enough = ready >= _bounds(deployment)[1]
        status["conditions"] = [
            self._available(deployment, enough),
            self._progressing(deployment, new, done=done),
            *self._failing(deployment, sets),
        ]
        revision = new["metadata"]["annotations"][REVISION] if new else ""
        self._set_status(DEPLOYMENT, deployment, status, {REVISION: revision} if revision else {})

    def _available(self, deployment: Json, enough: bool) -> Json:
        if enough:
            told = "MinimumReplicasAvailable", "Deployment has minimum availability."
        else:
            told = "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
        return self._condition(deployment, "Available", str(enough), *told)

    def _progressing(self, deployment: Json, new: Json | None, done: bool) -> Json:
        name = f'ReplicaSet "{new["metadata"]["name"]}"' if new else "ReplicaSet"
        if done:
            told = "True", "NewReplicaSetAvailable", f"{name} has successfully progressed."
        elif deployment["metadata"]["name"] in self._scripts.late:
            told = "False", "ProgressDeadlineExceeded", f"{name} has timed out progressing."
        else:
            told = "True", "ReplicaSetUpdated", f"{name} is progressing."
        return self._condition(deployment, "Progressing", *told)

    def _failing(self, deployment: Json, sets: list[Json]) -> list[Json]:
        failures = [self._failures.get(each["metadata"]["uid"]) for each in sets]
        return [
            self._condition(deployment, "ReplicaFailure", "True", "FailedCreate", failure)
            for failure in list(filter(None, failures))[:1]
        ]

    def _condition(self, thing: Json, name: str, status: str, reason: str, message: str) -> Json:
        wanted = {"type": name, "status": status, "reason": reason, "message": message}
        known = thing.get("status", {}).get("conditions") or []
        told = with_time(wanted, known, self._lifecycle.timestamp())
        return told if thing["kind"] == "ReplicaSet" else {**told, "lastUpdateTime": told["lastTransitionTime"]}

    def _generation(self, kind: Any, thing: Json) -> int:
        """The present one: the controller has seen its own changes."""
        live = self._store.get(kind, *key_of(thing)) or thing
        generation: int = live["metadata"]["generation"]
        return generation

    def _set_status(self, kind: Any, thing: Json, status: Json, annotations: dict[str, str] | None = None) -> None:
        known = thing["metadata"].get("annotations") or {}
        if thing.get("status") == status and (annotations or {}).items() <= known.items():
            return

        def change(live: Json) -> Json:
            if annotations:
                live["metadata"]["annotations"] = {**(live["metadata"].get("annotations") or {}), **annotations}
            return {**live, "status": status}

        self._lifecycle.change(kind, key_of(thing), change, CONTROLLER_STATUS)

    def _owned(self, kind: Any, owner: Json) -> list[Json]:
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        return [thing for thing in self._store.all(kind, namespace) if uid in owners_of(thing)]


def owners_of(thing: Json) -> set[str]:
    """The uids of what an object belongs to."""
    return {owner["uid"] for owner in thing["metadata"].get("ownerReferences") or []}


def _owner(api_version: str, kind: str, metadata: Json) -> Json:
    named = {"apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {**named, "controller": True, "blockOwnerDeletion": True}


def _pod_of(replica_set: Json) -> Json:
    template = replica_set["spec"]["template"]
    name = f"{replica_set['metadata']['name']}-"
    metadata = {**template["metadata"], "generateName": name}
    metadata["ownerReferences"] = [_owner("apps/v1", "ReplicaSet", replica_set["metadata"])]
    return {"metadata": metadata, "spec": template["spec"]}


def _bounds(deployment: Json) -> tuple[int, int]:
    """The most pods at once and the fewest that are available, by the strategy."""
    wanted, strategy = deployment["spec"]["replicas"], deployment["spec"]["strategy"]
    if strategy["type"] == "Recreate":
        return wanted, 0
    rolling = strategy.get("rollingUpdate", {})
    surge = _share(rolling.get("maxSurge", "25%"), wanted, math.ceil)
    missing = _share(rolling.get("maxUnavailable", "25%"), wanted, math.floor)
    if surge == 0 and missing == 0:
        missing = 1
    return wanted + surge, max(0, wanted - missing)


def _share(value: Any, of: int, rounded: Any) -> int:
    if isinstance(value, str):
        return int(rounded(of * int(value.rstrip("%")) / 100))
    return int(value)


def _ready(replica_set: Json) -> int:
    ready: int = replica_set.get("status", {}).get("readyReplicas", 0)
    return ready


def _counts(**counts: int) -> Json:
    """Zero is left out, as the server leaves it out."""
    return {name: count for name, count in counts.items() if count}


def _template_hash(deployment: Json) -> str:
    text = json.dumps(deployment["spec"]["template"], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10].translate(str.maketrans("013ae", "zxwvt"))
