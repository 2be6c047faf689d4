"""The restricted profile of Kubernetes' Pod Security, and what we ask of our pods beyond it."""

from collections.abc import Iterator
from typing import Any

_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret", "projected", "downwardAPI", "csi", "ephemeral"}


def weaknesses(pod: dict[str, Any]) -> Iterator[str]:
    """What keeps a pod's spec from being restricted; nothing for one that is."""
    of_pod = pod.get("securityContext", {})
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(field):
            yield field
    if of_pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "seccompProfile"
    if not of_pod.get("runAsUser") or not of_pod.get("runAsNonRoot"):
        yield "user"
    if "automountServiceAccountToken" not in pod:
        yield "automountServiceAccountToken"
    for volume in pod.get("volumes", []):
        if not set(volume) - {"name"} <= _VOLUMES:
            yield f"volume {volume['name']}"
    for container in containers(pod):
        yield from (f"{container['name']}: {each}" for each in _weaknesses(container))


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """All of a pod, those that prepare it first."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def shown(pod: dict[str, Any]) -> set[str]:
    """Entries of the Secret with the keys that a pod has as files; `*` if it has all of them."""
    found: set[str] = set()
    for volume in pod.get("volumes", []):
        of_volume = [
            volume.get("secret", {}),
            *(each["secret"] for each in volume.get("projected", {}).get("sources", [])),
        ]
        for each in of_volume:
            if "demo-seatrial-keys" in {each.get("secretName"), each.get("name")}:
                found |= {item["key"] for item in each.get("items", [{"key": "*"}])}
    return found


def _weaknesses(container: dict[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    yield from (field for field, value in wanted.items() if security.get(field) != value)
    if security.get("privileged") or security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield "securityContext"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "hostPort"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "no limit of memory"
    if not {"cpu", "memory"} <= set(container.get("resources", {}).get("requests", {})):
        yield "no requests"
