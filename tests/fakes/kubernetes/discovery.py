"""Which groups, versions and resources there are: `/api`, `/apis` and below, `/version`, the health checks."""

from collections.abc import Collection
from typing import Any

from .kinds import KINDS, Json, Kind

VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
VERSION = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0",
    "gitCommit": "fake",
    "gitTreeState": "clean",
    "platform": "linux/amd64",
}


def discovered(path: str, switched_off: Collection[str]) -> Any:  # noqa: PLR0911 - a table of paths
    """The answer to a path of discovery, text for a health check; None if the path is none."""
    served = [kind for kind in KINDS if kind.group not in switched_off]
    match path.strip("/").split("/"):
        case ["healthz" | "livez" | "readyz", *_]:
            return "ok"
        case ["version"]:
            return VERSION
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["api", "v1"]:
            return _resources(served, "", "v1")
        case ["apis"]:
            groups = sorted({kind.group for kind in served} - {""})
            told = [_group(served, group) for group in groups]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": told}
        case ["apis", group] if any(kind.group == group for kind in served):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(served, group)}
        case ["apis", group, version] if group:
            return _resources(served, group, version)
    return None


def _group(served: list[Kind], group: str) -> Json:
    versions = sorted({kind.version for kind in served if kind.group == group})
    told = [{"groupVersion": f"{group}/{version}", "version": version} for version in versions]
    return {"name": group, "versions": told, "preferredVersion": told[0]}


def _resources(served: list[Kind], group: str, version: str) -> Json | None:
    kinds = [kind for kind in served if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    resources = [told for kind in kinds for told in _resource(kind)]
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def _resource(kind: Kind) -> list[Json]:
    told: Json = {"name": kind.plural, "singularName": kind.name.lower(), "namespaced": kind.namespaced}
    told |= {"kind": kind.name, "verbs": VERBS}
    below = [
        {**told, "name": f"{kind.plural}/{sub}", "singularName": "", "verbs": ["get", "patch", "update"]}
        for sub in sorted(kind.subresources)
    ]
    return [told, *below]
