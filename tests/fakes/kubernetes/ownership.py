"""Who owns which field: `metadata.managedFields`, and server-side apply, which is decided by it."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from .fields import FieldPath, as_fields_v1, from_fields_v1, merged, owned_fields, shown, with_ancestors, without
from .kinds import Json, Kind
from .refusals import Refused, status


@dataclass(frozen=True, slots=True)
class Manager:
    """Somebody who writes: `operation` is Apply or Update, `subresource` empty for the object itself."""

    name: str
    operation: str = "Update"
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Owned:
    """What one manager owns, since when, and in which version it said so."""

    paths: frozenset[FieldPath]
    time: str
    api_version: str


@dataclass(slots=True)
class Ownership:
    """All managers of one object."""

    owners: dict[Manager, Owned] = field(default_factory=dict)

    @classmethod
    def of(cls, thing: Json) -> "Ownership":
        """As `metadata.managedFields` tells it."""
        owners = {}
        for entry in thing.get("metadata", {}).get("managedFields") or []:
            if entry:
                manager = Manager(entry["manager"], entry["operation"], entry.get("subresource", ""))
                paths = frozenset(from_fields_v1(entry.get("fieldsV1", {})))
                owners[manager] = Owned(paths, entry["time"], entry["apiVersion"])
        return cls(owners)

    def told(self) -> list[Json]:
        """The value of `metadata.managedFields`; appliers first, as the server sorts them."""
        entries = []
        for manager, owned in sorted(self.owners.items(), key=lambda pair: (pair[0].operation, pair[1].time)):
            entry = {
                "manager": manager.name,
                "operation": manager.operation,
                "apiVersion": owned.api_version,
                "time": owned.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": as_fields_v1(owned.paths),
            }
            entries.append(entry | ({"subresource": manager.subresource} if manager.subresource else {}))
        return entries

    def paths_of(self, manager: Manager) -> frozenset[FieldPath]:
        """What that manager owns; nothing if it never wrote."""
        owned = self.owners.get(manager)
        return owned.paths if owned else frozenset()

    def give(self, manager: Manager, paths: set[FieldPath], time: str, api_version: str) -> None:
        """From now on the manager owns exactly these; its time changes only if they do."""
        if not paths:
            self.owners.pop(manager, None)
        elif self.paths_of(manager) != paths:
            self.owners[manager] = Owned(frozenset(paths), time, api_version)

    def take(self, paths: set[FieldPath], sparing: Manager) -> None:
        """Nobody but `sparing` owns these any longer."""
        for manager, owned in list(self.owners.items()):
            if manager != sparing:
                self.give(manager, set(owned.paths) - paths, owned.time, owned.api_version)


@dataclass(frozen=True, slots=True)
class Difference:
    """The fields that differ between two states of an object."""

    added: frozenset[FieldPath]
    changed: frozenset[FieldPath]
    removed: frozenset[FieldPath]

    @classmethod
    def between(cls, kind: Kind, before: Json, after: Json) -> "Difference":
        """From `before` to `after`; a map that is filled or emptied is there before and after."""
        old, new = owned_fields(kind, before), owned_fields(kind, after)
        changed = {path for path in old.keys() & new.keys() if old[path] != new[path]}
        added = new.keys() - with_ancestors(old)
        return cls(frozenset(added), frozenset(changed), frozenset(old.keys() - with_ancestors(new)))


def after_update(kind: Kind, before: Json, after: Json, manager: Manager, time: str) -> list[Json]:
    """`managedFields` after an update: who changes a field owns it, and takes it from everybody else."""
    difference = Difference.between(kind, before, after)
    ownership = Ownership.of(before)
    written = set(difference.added | difference.changed)
    ownership.take(written | difference.removed, sparing=manager)
    ownership.give(manager, (set(ownership.paths_of(manager)) - difference.removed) | written, time, kind.api_version)
    return ownership.told()


def applied(kind: Kind, live: Json, wanted: Json, manager: Manager, time: str, force: bool) -> Json:
    """`live` with `wanted` applied to it by server-side apply, its `managedFields` told.

    What the manager applied before, does not apply now and nobody else owns is gone. Raises `Refused` (409) if the
    value of a field that another manager owns would change, unless `force`d: then the field changes hands."""
    ownership = Ownership.of(live)
    last = ownership.paths_of(manager)
    now = set(owned_fields(kind, wanted))
    ownership.give(manager, now, time, kind.api_version)
    kept = with_ancestors(path for owned in ownership.owners.values() for path in owned.paths)
    result: Json = without(kind, deepcopy(merged(kind, live, wanted)), set(last) - kept, kept)
    difference = Difference.between(kind, live, result)
    touched = difference.added | difference.changed
    if not force:
        _refuse_conflicts(ownership, manager, touched)
    ownership.take(set(touched | difference.removed), sparing=manager)
    result["metadata"]["managedFields"] = ownership.told()
    return result


def _refuse_conflicts(ownership: Ownership, applier: Manager, touched: frozenset[FieldPath]) -> None:
    conflicts = [
        (_called(manager, owned), shown(path))
        for manager, owned in ownership.owners.items()
        if manager != applier
        for path in sorted(owned.paths & touched)
    ]
    if not conflicts:
        return
    causes: list[Any] = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {called}", "field": path}
        for called, path in conflicts
    ]
    raise Refused(status(409, "Conflict", _conflict_message(conflicts), {"causes": causes}))


def _conflict_message(conflicts: list[tuple[str, str]]) -> str:
    if len(conflicts) == 1:
        called, path = conflicts[0]
        return f"Apply failed with 1 conflict: conflict with {called}: {path}"
    lines = []
    for called in sorted({called for called, _ in conflicts}):
        lines.append(f"conflicts with {called}:")
        lines += [f"- {path}" for manager, path in conflicts if manager == called]
    return f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)


def _called(manager: Manager, owned: Owned) -> str:
    called = f'"{manager.name}"'
    if manager.subresource:
        called += f' with subresource "{manager.subresource}"'
    if manager.operation == "Update":
        called += f" using {owned.api_version} at {owned.time}"
    return called
