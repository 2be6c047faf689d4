"""Pod Security admission at the level `restricted`, which a namespace asks for by a label."""

from .kinds import Json, Kind
from .refusals import forbidden

ENFORCE = "pod-security.kubernetes.io/enforce"
ALLOWED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)


def check_pod_security(kind: Kind, pod: Json, namespace: Json) -> None:
    """Raises `Refused` (403) if the namespace wants `restricted` pods and this is none."""
    level = (namespace["metadata"].get("labels") or {}).get(ENFORCE)
    if kind.name != "Pod" or level != "restricted":
        return
    violations = _violations(pod["spec"])
    if violations:
        why = f'violates PodSecurity "restricted:latest": {", ".join(violations)}'
        raise forbidden(kind, pod["metadata"]["name"], why)


def _violations(spec: Json) -> list[str]:
    whole = spec.get("securityContext") or {}
    found = [f"host namespaces ({name}=true)" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    for volume in spec.get("volumes") or []:
        used = f'restricted volume types (volume "{volume["name"]}" uses restricted volume type'
        found += [f'{used} "{type_}")' for type_ in sorted(volume.keys() - {"name"} - ALLOWED_VOLUMES)]
    for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
        found += _violations_of(container, whole)
    return found


def _violations_of(container: Json, whole: Json) -> list[str]:
    own = container.get("securityContext") or {}
    both = {**whole, **own}
    capabilities = own.get("capabilities") or {}
    drops_all = "ALL" in (capabilities.get("drop") or [])
    profile = (both.get("seccompProfile") or {}).get("type")
    one, any_ = f'container "{container["name"]}"', f'pod or container "{container["name"]}"'
    checks = [
        (not own.get("privileged"), f"privileged ({one} must not set securityContext.privileged=true)"),
        (
            own.get("allowPrivilegeEscalation") is False,
            f"allowPrivilegeEscalation != false ({one} must set securityContext.allowPrivilegeEscalation=false)",
        ),
        (
            drops_all and set(capabilities.get("add") or []) <= {"NET_BIND_SERVICE"},
            f'unrestricted capabilities ({one} must set securityContext.capabilities.drop=["ALL"])',
        ),
        (
            both.get("runAsNonRoot") is True,
            f"runAsNonRoot != true ({any_} must set securityContext.runAsNonRoot=true)",
        ),
        (both.get("runAsUser") != 0, f"runAsUser=0 ({any_} must not set runAsUser=0)"),
        (
            profile in ("RuntimeDefault", "Localhost"),
            f'seccompProfile ({any_} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
        ),
    ]
    return [violation for holds, violation in checks if not holds]
