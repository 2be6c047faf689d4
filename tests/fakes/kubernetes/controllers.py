"""All controllers together: after each write they work until there is nothing left to do. No threads, no waiting."""

from copy import deepcopy

from .kinds import BY_NAME, Json, Kind
from .lifecycle import FOREGROUND, ORPHAN, Deletion, Lifecycle
from .networking import Networking
from .ownership import Manager
from .pods import Pods
from .scripts import Scripts
from .store import key_of
from .workloads import Workloads, owners_of

MOST_ROUNDS = 200
GARBAGE_COLLECTOR = Manager("kube-controller-manager")
NAMESPACE = BY_NAME["Namespace"]


class Controllers:
    """What a control plane does besides keeping objects."""

    def __init__(self, lifecycle: Lifecycle, scripts: Scripts) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._pods = Pods(lifecycle, scripts)
        workloads = Workloads(lifecycle, scripts, self._pods)
        networking = Networking(lifecycle, scripts)
        self._steps = {
            BY_NAME["Pod"]: self._pods.settle,
            BY_NAME["ReplicaSet"]: workloads.settle_replica_set,
            BY_NAME["Deployment"]: workloads.settle_deployment,
            BY_NAME["Service"]: networking.settle_service,
            BY_NAME["HTTPRoute"]: networking.settle_route,
            BY_NAME["Gateway"]: networking.settle_gateway,
        }
        self._settled_at = -1

    def settle(self, anew: bool = False) -> None:
        """Work until nothing changes any longer; `anew` even if nobody has written since the last time."""
        if anew:
            self._settled_at = -1
        for _ in range(MOST_ROUNDS):
            if self._settled_at == self._store.version:
                return
            self._settled_at = self._store.version
            self._collect_garbage()
            for kind, step in self._steps.items():
                for thing in self._store.all(kind):
                    live = self._store.get(kind, *key_of(thing))
                    if live is not None:
                        step(live)
        raise AssertionError("the controllers do not come to rest")

    def log_of(self, pod: Json) -> str:
        """What the pod has written."""
        return self._pods.script_of(pod).log

    def _collect_garbage(self) -> None:
        """What belongs to nothing goes; what is deleted in the foreground goes after what belongs to it."""
        everything = self._store.everything()
        alive = {thing["metadata"]["uid"] for _, thing in everything}
        for kind, thing in everything:
            owners = owners_of(thing)
            if owners and not owners & alive and "deletionTimestamp" not in thing["metadata"]:
                self._lifecycle.delete(kind, key_of(thing), Deletion())
        for kind, thing in everything:
            if "deletionTimestamp" in thing["metadata"]:
                self._finish(kind, thing)

    def _finish(self, kind: Kind, thing: Json) -> None:
        live = self._store.get(kind, *key_of(thing))
        if live is None:
            return
        finalizers = live["metadata"].get("finalizers") or []
        if kind is NAMESPACE:
            self._finish_namespace(live)
        elif ORPHAN in finalizers:
            self._disown(live)
            self._drop_finalizer(kind, live, ORPHAN)
        elif FOREGROUND in finalizers:
            dependents = [each for each in self._store.everything() if live["metadata"]["uid"] in owners_of(each[1])]
            for its_kind, dependent in dependents:
                if "deletionTimestamp" not in dependent["metadata"]:
                    self._lifecycle.delete(its_kind, key_of(dependent), Deletion(policy="Foreground"))
            if not dependents:
                self._drop_finalizer(kind, live, FOREGROUND)

    def _finish_namespace(self, namespace: Json) -> None:
        name = namespace["metadata"]["name"]
        inside = [pair for pair in self._store.everything() if pair[1]["metadata"].get("namespace") == name]
        for kind, thing in inside:
            if "deletionTimestamp" not in thing["metadata"]:
                self._lifecycle.delete(kind, key_of(thing), Deletion())
        if not any(pair[1]["metadata"].get("namespace") == name for pair in self._store.everything()):
            self._store.remove(NAMESPACE, namespace)

    def _disown(self, owner: Json) -> None:
        uid = owner["metadata"]["uid"]
        for kind, thing in self._store.everything():
            if uid in owners_of(thing):
                orphan = deepcopy(thing)
                references = orphan["metadata"]["ownerReferences"]
                orphan["metadata"]["ownerReferences"] = [each for each in references if each["uid"] != uid]
                self._lifecycle.change(kind, key_of(thing), lambda _, orphan=orphan: orphan, GARBAGE_COLLECTOR)  # type: ignore[misc]

    def _drop_finalizer(self, kind: Kind, thing: Json, finalizer: str) -> None:
        def change(live: Json) -> Json:
            live["metadata"]["finalizers"] = [each for each in live["metadata"]["finalizers"] if each != finalizer]
            return live

        self._lifecycle.change(kind, key_of(thing), change, GARBAGE_COLLECTOR)
