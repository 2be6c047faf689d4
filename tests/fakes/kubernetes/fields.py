"""Fields of objects as server-side apply sees them: paths, merging, taking away, and their `fieldsV1` form.

A path is a tuple of elements as `fieldsV1` writes them: `f:spec`, `k:{"name":"web"}`, `v:"seatrial.dev/keep"`."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .kinds import Json, Kind

FieldPath: TypeAlias = tuple[str, ...]

LISTS_WITH_KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "listeners": ("name",),
    "ownerReferences": ("uid",),
    "podIPs": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeDevices": ("devicePath",),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
KEYS_OF_PORTS = {"Service": ("port", "protocol"), "EndpointSlice": None}
KEYS_LEFT_OUT = {"protocol": "TCP"}
LISTS_THAT_ARE_SETS = frozenset({"finalizers"})
ATOMIC_MAPS = frozenset(
    {
        "configMapKeyRef",
        "fieldRef",
        "involvedObject",
        "labelSelector",
        "namespaceSelector",
        "nodeSelector",
        "nodeSelectorTerms",
        "podSelector",
        "resourceFieldRef",
        "roleRef",
        "scaleTargetRef",
        "secretKeyRef",
        "selector",
        "targetRef",
    }
)
UNOWNED_METADATA = frozenset(
    {
        "name",
        "namespace",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
    }
)
MEMBER = "an item of a list"


def owned_fields(kind: Kind, thing: Json) -> dict[FieldPath, Any]:
    """Every field that somebody can own, with its value; an item of a keyed list counts as a field of its own."""
    unowned = ("apiVersion", "kind", "metadata", *(() if thing.get("status") else ("status",)))
    shown = {key: value for key, value in thing.items() if key not in unowned}
    metadata = {key: value for key, value in thing.get("metadata", {}).items() if key not in UNOWNED_METADATA}
    if metadata:
        shown["metadata"] = metadata
    found: dict[FieldPath, Any] = {}
    _collect(kind, shown, (), found)
    return found


def merged(kind: Kind, live: Any, wanted: Any, name: str = "") -> Any:
    """`live` with `wanted` laid over it: maps field by field, keyed lists item by item, everything else whole."""
    if isinstance(live, dict) and isinstance(wanted, dict) and name not in ATOMIC_MAPS:
        both = {key: merged(kind, live[key], value, key) for key, value in wanted.items() if key in live}
        return {**live, **wanted, **both}
    if isinstance(live, list) and isinstance(wanted, list) and (key_of := _key_of_items(kind, name)):
        return _merged_items(kind, live, wanted, key_of)
    return wanted


def without(kind: Kind, thing: Json, paths: Iterable[FieldPath], kept: set[FieldPath]) -> Json:
    """`thing`, which is changed, without the fields at `paths`, nor the maps and lists that this empties.

    What is `kept` stays even if it is empty, and an item that stays keeps what it is told apart by."""
    leaving = set(paths)
    for path in leaving:
        within = any(path[:length] in leaving for length in range(1, len(path)))
        if not within and not _tells_apart(path):
            _take_away(kind, thing, path, 0, kept)
    return thing


def first_twice(kind: Kind, value: Any, path: FieldPath = ()) -> str:
    """What the server says of the first key that stands twice in a keyed list; empty if there is none."""
    name = path[-1][2:] if path and path[-1].startswith("f:") else ""
    if isinstance(value, dict):
        found = (first_twice(kind, below, (*path, f"f:{key}")) for key, below in value.items())
        return next(filter(None, found), "")
    key_of = _key_of_items(kind, name)
    if not isinstance(value, list) or key_of is None:
        return ""
    keys = [key_of(item) for item in value]
    if twice := next((key for key in keys if keys.count(key) > 1), ""):
        return f"{shown(path)}: duplicate entries for key {_shown_element(twice)}"
    found = (first_twice(kind, item, (*path, key)) for key, item in zip(keys, value, strict=True))
    return next(filter(None, found), "")


def with_ancestors(paths: Iterable[FieldPath]) -> set[FieldPath]:
    """The paths and everything that contains them."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def as_fields_v1(paths: Iterable[FieldPath]) -> Json:
    """The tree that `managedFields` shows; `.` marks a field that is owned besides what it contains."""
    tree: Json = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _without_needless_dots(tree)


def from_fields_v1(tree: Json, above: FieldPath = ()) -> set[FieldPath]:
    """The paths in such a tree."""
    paths: set[FieldPath] = set()
    for element, below in tree.items():
        if element == ".":
            paths.add(above)
        elif below:
            paths |= from_fields_v1(below, (*above, element))
        else:
            paths.add((*above, element))
    return paths


def shown(path: FieldPath) -> str:
    """As a conflict names the field: `.spec.template.spec.containers[name="web"].image`."""
    return "".join(_shown_element(element) for element in path)


def _collect(kind: Kind, value: Any, path: FieldPath, found: dict[FieldPath, Any]) -> None:
    name = path[-1][2:] if path and path[-1].startswith("f:") else ""
    if isinstance(value, dict) and value and name not in ATOMIC_MAPS:
        for key, below in value.items():
            _collect(kind, below, (*path, f"f:{key}"), found)
    elif isinstance(value, list) and (key_of := _key_of_items(kind, name)):
        for item in value:
            place = (*path, key_of(item))
            found[place] = MEMBER
            if isinstance(item, dict):
                _collect(kind, item, place, found)
    elif path:
        found[path] = value


class _Key:
    """How the items of one list are told apart."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def __call__(self, item: Any) -> str:
        if not self.names:
            return f"v:{_compact(item)}"
        key = {name: item.get(name, KEYS_LEFT_OUT.get(name)) for name in self.names}
        return f"k:{_compact({name: value for name, value in key.items() if value is not None})}"


def _key_of_items(kind: Kind, name: str) -> _Key | None:
    """None where a list is one value."""
    if name in LISTS_THAT_ARE_SETS:
        return _Key(())
    keys = LISTS_WITH_KEYS.get(name)
    if name == "ports":
        keys = KEYS_OF_PORTS.get(kind.name, ("containerPort", "protocol"))
    return _Key(keys) if keys else None


def _merged_items(kind: Kind, live: list[Any], wanted: list[Any], key_of: _Key) -> list[Any]:
    """In the wanted order where both lists hold the same items; otherwise what is new comes last."""
    old = {key_of(item): item for item in live}
    new = {key_of(item): item for item in wanted}
    order = list(new) if old.keys() <= new.keys() else [*old, *(key for key in new if key not in old)]
    both = {key: merged(kind, old[key], new[key]) for key in old.keys() & new.keys()}
    everything = {**old, **new, **both}
    return [everything[key] for key in order]


def _tells_apart(path: FieldPath) -> bool:
    return len(path) > 1 and path[-2].startswith("k:") and path[-1][2:] in json.loads(path[-2][2:])


def _take_away(kind: Kind, inside: Any, path: FieldPath, depth: int, kept: set[FieldPath]) -> None:
    name = path[depth - 1][2:] if depth and path[depth - 1].startswith("f:") else ""
    place = _place_of(kind, inside, path[depth], name)
    last = depth + 1 == len(path)
    if place is None or (not last and not inside[place]):
        return
    if not last:
        _take_away(kind, inside[place], path, depth + 1, kept)
    if last or (inside[place] in ({}, []) and path[: depth + 1] not in kept):
        del inside[place]


def _place_of(kind: Kind, inside: Any, element: str, name: str) -> Any:
    if element.startswith("f:"):
        key = element[2:]
        return key if isinstance(inside, dict) and key in inside else None
    key_of = _key_of_items(kind, name)
    if not isinstance(inside, list) or key_of is None:
        return None
    return next((place for place, item in enumerate(inside) if key_of(item) == element), None)


def _without_needless_dots(tree: Json) -> Json:
    kept = {key: _without_needless_dots(below) for key, below in tree.items()}
    return {} if kept.keys() == {"."} else kept


def _shown_element(element: str) -> str:
    if element.startswith("f:"):
        return f".{element[2:]}"
    value = json.loads(element[2:])
    if element.startswith("v:"):
        return f"[={_compact(value)}]"
    return "[" + ",".join(f"{name}={_compact(part)}" for name, part in value.items()) + "]"


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
