"""How objects come to be, change and go: what the server does to every object whoever asks for it."""

import uuid
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from random import Random
from typing import Any

from . import defaults, schema, validation
from .kinds import BY_NAME, Json, Kind
from .ownership import Manager, after_update, applied
from .pod_security import check_pod_security
from .preconditions import Deletion, refuse_duplicates, refuse_other_identity, refuse_other_version
from .refusals import Refused, already_exists, bad_request, conflict, invalid, not_found, status
from .store import Store, key_of

NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
SERVER_KEEPS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds")
SERVICE_ADDRESS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")

Change = Callable[[Json], Json]


class Lifecycle:
    """Everything that writes goes through here.

    `allow_creation` may raise `Refused`, as a quota does. With a kubelet, a pod that was given a node is only marked
    when it is deleted: the kubelet ends it."""

    def __init__(self, store: Store, now: Callable[[], datetime], allow_creation: Callable[[Kind, Json], None]) -> None:
        self.store = store
        self.now = now
        self.has_kubelet = False
        self._allow_creation = allow_creation
        self._chance = Random(0)
        self._services = 0

    def timestamp(self) -> str:
        """Now, as objects tell it."""
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def live(self, kind: Kind, namespace: str, name: str) -> Json:
        """The object as it is, not to be changed. Raises `Refused` (404)."""
        found = self.store.get(kind, namespace, name)
        if found is None:
            raise not_found(kind, name)
        return found

    def create(self, kind: Kind, namespace: str, sent: Json, manager: Manager, dry: bool = False) -> Json:
        """A new object. Raises `Refused`: 409 if the name is taken, 404 if the namespace is missing, 422."""
        thing = self._new(kind, namespace, schema.known_part(kind, sent)[0])
        if thing["metadata"].pop("resourceVersion", ""):
            raise Refused(status(500, "", "resourceVersion should not be set on objects to be created"))
        self._complete(kind, thing)
        bare: Json = {"metadata": {}}
        thing["metadata"]["managedFields"] = after_update(kind, bare, thing, manager, self.timestamp())
        return self._store_new(kind, thing, dry)

    def change(self, kind: Kind, key: tuple[str, str], change: Change, manager: Manager, dry: bool = False) -> Json:
        """The object after `change` of a copy of it; a resourceVersion that `change` leaves behind must be the present
        one. Raises `Refused`."""
        before = self.live(kind, *key)
        after, _ = schema.known_part(kind, change(deepcopy(before)))
        refuse_other_version(kind, before, after)
        after = self._as_updated(kind, before, after, manager.subresource)
        forgets = bool(_owners(before)) and after["metadata"].get("managedFields") in ([], [{}])
        if _content(before) == _content(after) and not forgets:
            return before
        owned = after_update(kind, before, after, manager, self.timestamp())
        after["metadata"]["managedFields"] = [] if forgets else owned
        return self._store_changed(kind, before, after, manager.subresource, dry)

    def apply(
        self,
        kind: Kind,
        key: tuple[str, str],
        wanted: Json,
        manager: Manager,
        *,
        force: bool = False,
        dry: bool = False,
    ) -> tuple[Json, bool]:
        """Server-side apply: the object, and whether it is new. Raises `Refused`, above all for conflicts (409)."""
        before = self.store.get(kind, *key)
        wanted = _without_nulls(wanted)
        if "managedFields" in wanted.get("metadata", {}):
            raise bad_request("metadata.managedFields must be nil")
        schema.refuse_unknown(kind, wanted, key)
        refuse_duplicates(kind, wanted, key)
        if before is None:
            return self._apply_new(kind, key, wanted, manager, dry), True
        refuse_other_version(kind, before, wanted)
        wanted.setdefault("metadata", {}).pop("resourceVersion", None)
        if manager.subresource == "status":
            wanted = {"metadata": {}, "status": wanted.get("status", {})}
        elif "status" in kind.subresources:
            wanted.pop("status", None)
        after = applied(kind, before, wanted, manager, self.timestamp(), force)
        after = self._as_updated(kind, before, after, manager.subresource)
        if _content(before) == _content(after) and _owners(before) == _owners(after):
            return before, False
        return self._store_changed(kind, before, after, manager.subresource, dry), False

    def delete(self, kind: Kind, key: tuple[str, str], wanted: Deletion) -> tuple[Json, bool]:
        """The object as it was last, and whether it is gone; with finalizers it stays until they are removed."""
        before = self.live(kind, *key)
        refuse_other_identity(kind, before, wanted)
        after = deepcopy(before)
        finalizers = after["metadata"].get("finalizers") or []
        extra = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(wanted.policy)
        if extra and extra not in finalizers:
            after["metadata"]["finalizers"] = [*finalizers, extra]
        if self._goes_at_once(kind, after, wanted):
            return (before if wanted.dry else self.store.remove(kind, before)), True
        self._mark_deleted(kind, after, wanted)
        if after == before or wanted.dry:
            return after, False
        return self.store.write(kind, after), False

    def put(self, kind: Kind, thing: Json) -> Json:
        """What a test lays down: created or replaced as a whole, its status too, without checks."""
        thing = deepcopy(thing)
        thing.setdefault("metadata", {})
        namespace = thing["metadata"].get("namespace", "default") if kind.namespaced else ""
        before = self.store.get(kind, namespace, thing["metadata"].get("name", ""))
        if before is None:
            new = self._new(kind, namespace, thing, with_status=True)
            self._complete(kind, new)
            bare: Json = {"metadata": {}}
            new["metadata"]["managedFields"] = after_update(kind, bare, new, Manager("test"), self.timestamp())
            return self.store.write(kind, new)
        thing["metadata"] = {**before["metadata"], **thing["metadata"], "namespace": namespace}
        thing["metadata"].pop("resourceVersion", None)
        after = {**({"status": before["status"]} if "status" in before else {}), **thing}
        after = self._as_updated(kind, before, after, None)
        owned = after_update(kind, before, after, Manager("test"), self.timestamp())
        after["metadata"]["managedFields"] = owned
        return self._store_changed(kind, before, after, "", dry=False)

    def suffix(self, length: int = 5) -> str:
        """The random end of a generated name; the same in every run."""
        return "".join(self._chance.choice(NAME_LETTERS) for _ in range(length))

    def _new(self, kind: Kind, namespace: str, sent: Json, with_status: bool = False) -> Json:
        thing = {"apiVersion": kind.api_version, "kind": kind.name, **deepcopy(sent)}
        metadata = thing["metadata"] = dict(thing.get("metadata") or {})
        for name in (*SERVER_KEEPS, "managedFields", "selfLink"):
            metadata.pop(name, None)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + self.suffix()
        if not metadata.get("name"):
            raise invalid(kind, "", "metadata.name", "Required value: name or generateName is required")
        metadata |= {"uid": self._uid(), "creationTimestamp": self.timestamp()}
        if namespace:
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        if kind.counts_generations:
            metadata["generation"] = 1
        if "status" in kind.subresources and not with_status:
            thing.pop("status", None)
        return thing

    def _apply_new(self, kind: Kind, key: tuple[str, str], wanted: Json, manager: Manager, dry: bool) -> Json:
        namespace, name = key
        asked = wanted.get("metadata", {})
        if uid := asked.get("uid"):
            why = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(kind, name, why)
        if asked.get("resourceVersion"):
            raise conflict(kind, name)
        if manager.subresource:
            raise not_found(kind, name)
        thing = self._new(kind, namespace, {**wanted, "metadata": {**asked, "name": name}})
        bare: Json = {"metadata": {}}
        owned = applied(kind, bare, thing, manager, self.timestamp(), force=False)["metadata"]["managedFields"]
        thing["metadata"]["managedFields"] = owned
        self._complete(kind, thing)
        return self._store_new(kind, thing, dry)

    def _complete(self, kind: Kind, thing: Json) -> None:
        defaults.fill_in(kind, thing)
        if kind.name == "Service":
            self._give_address(thing["spec"])

    def _give_address(self, spec: Json) -> None:
        if spec["type"] == "ExternalName" or "clusterIP" in spec:
            return
        self._services += 1
        address = f"10.96.{self._services // 250}.{self._services % 250 + 1}"
        spec |= {"clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}

    def _store_new(self, kind: Kind, thing: Json, dry: bool) -> Json:
        namespace, name = key_of(thing)
        if kind.namespaced:
            home = self.store.get(BY_NAME["Namespace"], "", namespace)
            if home is None:
                raise not_found(BY_NAME["Namespace"], namespace)
            validation.check_namespace(kind, thing, home)
            check_pod_security(kind, thing, home)
        if self.store.get(kind, namespace, name):
            raise already_exists(kind, name)
        validation.check(kind, thing, None)
        self._allow_creation(kind, thing)
        return thing if dry else self.store.write(kind, thing)

    def _as_updated(self, kind: Kind, before: Json, after: Json, subresource: str | None) -> Json:
        """`after` with what an update of the object, or of its status, cannot change; None lets both change."""
        metadata = after["metadata"] = dict(after.get("metadata") or {})
        for name in SERVER_KEEPS:
            metadata.pop(name, None)
            if name in before["metadata"]:
                metadata[name] = before["metadata"][name]
        metadata |= {name: before["metadata"][name] for name in ("name", "namespace") if name in before["metadata"]}
        if subresource == "status":
            rest = {key: value for key, value in before.items() if key not in ("metadata", "status")}
            after = {**rest, "metadata": metadata, **({"status": after["status"]} if "status" in after else {})}
        elif subresource is not None and "status" in kind.subresources:
            after.pop("status", None)
            after |= {"status": before["status"]} if "status" in before else {}
        if kind.name == "Service":
            for name in SERVICE_ADDRESS:
                if name in before["spec"]:
                    after["spec"].setdefault(name, before["spec"][name])
        after |= {"apiVersion": kind.api_version, "kind": kind.name}
        self._complete(kind, after)
        return after

    def _store_changed(self, kind: Kind, before: Json, after: Json, subresource: str, dry: bool) -> Json:
        validation.check(kind, after, before)
        if kind.counts_generations and subresource != "status" and _shape(kind, before) != _shape(kind, after):
            after["metadata"]["generation"] = before["metadata"].get("generation", 0) + 1
        if dry:
            return after
        kept = self.store.write(kind, after)
        if _is_over(kind, kept):
            return self.store.remove(kind, kept)
        return kept

    def _goes_at_once(self, kind: Kind, thing: Json, wanted: Deletion) -> bool:
        if thing["metadata"].get("finalizers"):
            return False
        if kind.name == "Namespace":
            return False
        if kind.name == "Pod" and self.has_kubelet and wanted.grace_seconds != 0:
            return "nodeName" not in thing["spec"]
        return True

    def _mark_deleted(self, kind: Kind, thing: Json, wanted: Deletion) -> None:
        metadata = thing["metadata"]
        if kind.name == "Namespace":
            thing["status"] = {**thing.get("status", {}), "phase": "Terminating"}
        if "deletionTimestamp" in metadata:
            return
        grace = 0
        if kind.name == "Pod":
            asked = wanted.grace_seconds
            grace = thing["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked
        metadata["deletionTimestamp"] = f"{self.now() + timedelta(seconds=grace):%Y-%m-%dT%H:%M:%SZ}"
        metadata["deletionGracePeriodSeconds"] = grace
        if "generation" in metadata:
            metadata["generation"] += 1

    def _uid(self) -> str:
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))


def _is_over(kind: Kind, thing: Json) -> bool:
    """Nothing holds the object back any longer; a namespace and a pod on a node end otherwise."""
    metadata = thing["metadata"]
    waits = kind.name == "Namespace" or (kind.name == "Pod" and metadata.get("deletionGracePeriodSeconds"))
    return "deletionTimestamp" in metadata and not metadata.get("finalizers") and not waits


def _content(thing: Json) -> Json:
    """The object without what says when and by whom it was written."""
    left_out = ("resourceVersion", "managedFields", "generation")
    metadata = {key: value for key, value in thing["metadata"].items() if key not in left_out and value not in ({}, [])}
    return {**thing, "metadata": metadata}


def _owners(thing: Json) -> list[Json]:
    return [{**entry, "time": ""} for entry in thing["metadata"].get("managedFields", [])]


def _shape(kind: Kind, thing: Json) -> Any:
    """What makes a new generation when it changes; with a Deployment the annotations do too, as in the real server."""
    if not kind.custom and "spec" in thing:
        annotations = thing["metadata"].get("annotations") if kind.name == "Deployment" else None
        return thing["spec"], annotations or None
    return {key: value for key, value in thing.items() if key not in ("metadata", "status")}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(below) for key, below in value.items() if below is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
