"""The objects, every change that was made to them, and one counter of versions: what etcd is to an API server."""

import threading
from copy import deepcopy
from dataclasses import dataclass

from .kinds import Json, Kind
from .refusals import expired, too_large_version


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `before` is None where the object is new, `after` where it is gone."""

    version: int
    kind: Kind
    before: Json | None
    after: Json | None

    @property
    def thing(self) -> Json:
        """The object after the change; the last that was known of it if it is gone."""
        found = self.after or self.before
        assert found is not None
        return found


Key = tuple[str, str]


class Store:
    """Objects by kind, namespace and name. What is stored is never changed, only replaced.

    Hold `lock` for everything; `changed` is notified with each write."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.version = 100
        self.compacted = 0
        self.expirations = 0
        self.changes: list[Change] = []
        self._objects: dict[Kind, dict[Key, Json]] = {}

    def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object itself, not to be changed; None if there is none."""
        return self._objects.get(kind, {}).get((namespace, name))

    def all(self, kind: Kind, namespace: str = "") -> list[Json]:
        """Objects of that kind, sorted by namespace and name; those of every namespace if it is empty."""
        found = self._objects.get(kind, {})
        return [found[key] for key in sorted(found) if namespace in ("", key[0])]

    def everything(self) -> list[tuple[Kind, Json]]:
        """All objects of all kinds."""
        return [(kind, thing) for kind, found in self._objects.items() for thing in found.values()]

    def write(self, kind: Kind, thing: Json) -> Json:
        """Keep a copy under a new version, which is returned."""
        self.version += 1
        kept = deepcopy(thing)
        kept["metadata"]["resourceVersion"] = str(self.version)
        found = self._objects.setdefault(kind, {})
        key = key_of(kept)
        self._remember(Change(self.version, kind, found.get(key), kept))
        found[key] = kept
        return kept

    def remove(self, kind: Kind, thing: Json) -> Json:
        """Forget the object; its last state is returned, with the version of its end."""
        self.version += 1
        last = deepcopy(self._objects[kind].pop(key_of(thing)))
        last["metadata"]["resourceVersion"] = str(self.version)
        self._remember(Change(self.version, kind, last, None))
        return last

    def compact(self) -> None:
        """Whoever asks for an older version from now on is told that it is gone; watches that are open go on."""
        self.compacted = self.version

    def expire_watches(self) -> None:
        """Watches that are open are told that what they wait for is gone, as happens to one that is too slow."""
        self.expirations += 1
        self.changed.notify_all()

    def refuse_future(self, version: int) -> None:
        """Raises `Refused` (504) if that version has not come yet."""
        if version > self.version:
            raise too_large_version(version, self.version)

    def refuse_forgotten(self, version: int) -> None:
        """Raises `Refused` (410) if what happened after that version is no longer known."""
        if version < self.compacted:
            raise expired(f"too old resource version: {version} ({self.compacted})")

    def changes_after(self, version: int, kind: Kind) -> list[Change]:
        """What happened to objects of that kind."""
        return [change for change in self.changes_since(version) if change.kind == kind]

    def all_at(self, version: int, kind: Kind, namespace: str = "") -> list[Json]:
        """Objects as they were then. Raises `Refused`: 410 if that is forgotten, 504 if it is still to come."""
        self.refuse_future(version)
        self.refuse_forgotten(version)
        found = dict(self._objects.get(kind, {}))
        for change in reversed(self.changes_after(version, kind)):
            key = key_of(change.thing)
            found.pop(key, None)
            if change.before is not None:
                found[key] = change.before
        return [found[key] for key in sorted(found) if namespace in ("", key[0])]

    def changes_since(self, version: int) -> list[Change]:
        """All that happened after it; versions have no gaps."""
        if not self.changes:
            return []
        return self.changes[max(0, version + 1 - self.changes[0].version) :]

    def _remember(self, change: Change) -> None:
        self.changes.append(change)
        self.changed.notify_all()


def key_of(thing: Json) -> Key:
    """Where an object is kept; the namespace of what has none is empty."""
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]
