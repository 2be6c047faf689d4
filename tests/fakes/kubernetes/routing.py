"""Which object, collection or subresource a path names."""

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

from .kinds import BY_PLACE, KINDS, Kind
from .refusals import Refused, no_such_resource, status


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. `name` is empty for a collection; `rest` is what follows a subresource (the pod proxy)."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.namespace, self.name


class NoSuchPath(Refused):
    """Nothing is served there; the real server answers with plain text."""

    def __init__(self) -> None:
        super().__init__(status(404, "NotFound", "404 page not found"))


def target_of(path: str, switched_off: Collection[str]) -> Target:
    """Raises `NoSuchPath` where no group is, `Refused` (404) where a group has no such resource."""
    parts = path.strip("/").split("/")
    match parts:
        case ["api", "v1", *rest] if rest:
            group, version = "", "v1"
        case ["apis", group, version, *rest] if rest:
            pass
        case _:
            raise NoSuchPath
    if group in switched_off or not any((kind.group, kind.version) == (group, version) for kind in KINDS):
        raise NoSuchPath
    return _within_group(group, version, [unquote(part) for part in rest])


def _within_group(group: str, version: str, parts: list[str]) -> Target:
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] != "status":
        namespace, parts = parts[1], parts[2:]
    kind = BY_PLACE.get((group, version, parts[0]))
    if kind is None or bool(namespace) > kind.namespaced:
        raise no_such_resource()
    name, subresource, rest = [*parts[1:3], "", ""][0], "", ""
    if len(parts) > 2:
        subresource, rest = parts[2], "/".join(parts[3:])
    if subresource and subresource not in kind.subresources:
        raise no_such_resource()
    if kind.namespaced and name and not namespace:
        raise no_such_resource()
    return Target(kind, namespace, name, subresource, rest)
