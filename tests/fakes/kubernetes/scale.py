"""The `scale` subresource."""

from .kinds import Json, Kind
from .refusals import bad_request


def scale_of(kind: Kind, thing: Json) -> Json:
    """The object as an autoscaler sees it."""
    shared = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    metadata = {name: thing["metadata"][name] for name in shared}
    labels = thing["spec"].get("selector", {}).get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": {"replicas": thing["spec"].get("replicas", 0)},
        "status": {
            "replicas": thing.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def scaled(live: Json, scale: Json) -> Json:
    """`live` with the replicas of the scale, which must be of the present version if it names one."""
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request(f"Scale is invalid: spec.replicas: Invalid value: {replicas}: must be at least 0")
    live["spec"]["replicas"] = replicas
    if version := (scale.get("metadata") or {}).get("resourceVersion"):
        live["metadata"]["resourceVersion"] = version
    return live
