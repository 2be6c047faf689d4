"""Whether a Deployment's pods are still made as we wrote it.

The API server keeps book of who set which field (`metadata.managedFields`), and who changes one owns it from then on.
So what others add (a restart's annotation, a sidecar), and the values that a cluster fills in, are told from a change
of what was verified.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from deployments.cluster import MANAGER
from deployments.plurals import counted
from deployments.targets.kubernetes.manifests import CONTAINER, FETCHER

Object = Mapping[str, Any]

_CONTAINERS: Final = (("f:containers", CONTAINER), ("f:initContainers", FETCHER))
# What makes a server another one than was verified.
_VERIFIED: Final = ("image", "command", "args", "env", "envFrom", "volumeMounts")


def changed_fields(deployment: Object) -> tuple[str, ...]:
    """Fields of our containers that somebody else set since we did; none where nobody kept book."""
    book = [each for each in deployment["metadata"].get("managedFields") or () if each.get("fieldsV1")]
    ours = {place for each in book if each["manager"] == MANAGER for place in _places(each["fieldsV1"])}
    theirs = {place for each in book if each["manager"] != MANAGER for place in _places(each["fieldsV1"])}
    return tuple(sorted({name for name, _ in theirs - ours}))


def being_replaced(deployment: Object) -> str:
    """How far its pods are from being all of its newest template; empty if they are, as far as its controller says."""
    status, metadata = deployment.get("status") or {}, deployment["metadata"]
    wanted, name = deployment["spec"].get("replicas", 1), metadata["name"]
    if status.get("observedGeneration", 0) < metadata.get("generation", 0):
        return f"Deployment {name} was changed, and its controller has not looked at it yet"
    new, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if new < wanted or total > new:
        left = counted(total - new, "old one is", "old ones are")
        return f"Deployment {name} is replacing its pods: {new} of {wanted} are new, {left} left"
    return ""


def _places(fields: Object) -> Iterator[tuple[str, str]]:
    """The verified fields that stand in a book entry: name for people, and path below it."""
    pod = fields.get("f:spec", {}).get("f:template", {}).get("f:spec", {})
    for kind, container in _CONTAINERS:
        found = pod.get(kind, {}).get(f'k:{{"name":"{container}"}}', {})
        for name in _VERIFIED:
            for path in _leaves(found.get(f"f:{name}")):
                yield f"{name} of container {container}", path


def _leaves(fields: Object | None, path: str = "") -> Iterator[str]:
    if fields is None:
        return
    if not fields:
        yield path
    for name, below in fields.items():
        yield from _leaves(below, f"{path}/{name}")
