"""All controllers together: after each write they work until there is nothing left to do. No threads, no waiting."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy

from .kinds import BY_NAME, Json, Kind
from .lifecycle import FOREGROUND, ORPHAN, Lifecycle
from .networking import Networking
from .ownership import Manager
from .pods import Pods
from .preconditions import Deletion
from .refusals import Refused
from .scripts import Scripts
from .selection import matches_labels
from .store import Change, Key, key_of
from .workloads import Workloads, owners_of

MOST_ROUNDS = 200
LOOKED_AT_WITH = {
    "Gateway": ("HTTPRoute",),
    "HTTPRoute": ("Gateway",),
    "Namespace": ("HTTPRoute",),
    "Pod": ("Service", "PodDisruptionBudget"),
    "ReferenceGrant": ("HTTPRoute",),
    "Service": ("HTTPRoute",),
}
OF_THE_MANAGER = frozenset({"ReplicaSet", "Deployment", "PodDisruptionBudget", "Service"})
SAME_NAMESPACE = frozenset({"Service", "PodDisruptionBudget"})
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
            BY_NAME["PodDisruptionBudget"]: workloads.settle_budget,
            BY_NAME["Service"]: networking.settle_service,
            BY_NAME["HTTPRoute"]: networking.settle_route,
            BY_NAME["Gateway"]: networking.settle_gateway,
        }
        self._settled_at = 0
        self._scripts = scripts

    def settle(self, anew: bool = False) -> None:
        """Work until nothing changes any longer; `anew` looks at everything, whoever has written."""
        for round_ in range(MOST_ROUNDS):
            changes = self._store.changes_since(self._settled_at)
            if not changes and not (anew and round_ == 0):
                return
            self._settled_at = self._store.version
            if not self._scripts.no_manager and any(_may_leave_garbage(change) for change in changes):
                self._collect_garbage()
            self._step(None if anew and round_ == 0 else self._concerned(changes))
        raise AssertionError("the controllers do not come to rest")

    def _step(self, concerned: set[tuple[Kind, Key]] | None) -> None:
        """Every controller takes a step with each object that is concerned, all of them if that is None."""
        for kind, step in self._steps.items():
            if self._scripts.no_manager and kind.name in OF_THE_MANAGER:
                continue
            for thing in self._store.all(kind):
                key = key_of(thing)
                live = self._store.get(kind, *key)
                if live is not None and (concerned is None or (kind, key) in concerned):
                    self._take(step, live)

    def _concerned(self, changes: list[Change]) -> set[tuple[Kind, Key]]:
        """What has to be looked at after these changes: the objects, what they belong to, and what points at them."""
        found = {(change.kind, key_of(change.thing)) for change in changes}
        for change in changes:
            namespace = key_of(change.thing)[0]
            for owner in change.thing["metadata"].get("ownerReferences") or []:
                if owner["kind"] in BY_NAME:
                    found.add((BY_NAME[owner["kind"]], (namespace, owner["name"])))
            for name in LOOKED_AT_WITH.get(change.kind.name, ()):
                home = namespace if name in SAME_NAMESPACE else ""
                things = [thing for thing in self._store.all(BY_NAME[name], home) if _looks_at(thing, change)]
                found |= {(BY_NAME[name], key_of(thing)) for thing in things}
        return found

    def _take(self, step: Callable[[Json], None], thing: Json) -> None:
        """What a quota or a namespace on its way out refuses to a controller is no matter of the client that wrote."""
        with suppress(Refused):
            step(thing)

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


def _may_leave_garbage(change: Change) -> bool:
    metadata = change.thing["metadata"]
    return change.after is None or "deletionTimestamp" in metadata or bool(metadata.get("ownerReferences"))


def _looks_at(thing: Json, change: Change) -> bool:
    """A Service looks at the pods that it selects, or did until now."""
    if thing["kind"] != "Service" or change.kind.name != "Pod":
        return True
    selector = {"matchLabels": thing["spec"].get("selector") or {}}
    states = [state for state in (change.before, change.after) if state is not None]
    return any(matches_labels(selector, state["metadata"].get("labels") or {}) for state in states)
