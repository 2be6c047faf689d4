"""What a version looks like in a cluster: the objects that are applied for it, as plain dicts."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from deployments.cluster.object_names import COPIES_PORT, PAIRED_PORT, PORT, TEMPLATE, labels_of, object_name
from deployments.container_images.build_context import BAKED
from deployments.model_manifest import BYTES_VARIABLE, DIGEST_VARIABLE
from deployments.request_ids import KEY_NAME, VARIABLE
from deployments.spec import AutoscalingSection, KubernetesSection, ServerSection, VolumeRule
from deployments.targets.protocol import Launch
from deployments.targets.server_flags import server_flags

Object = dict[str, Any]

CONTAINER: Final = "server"
FETCHER: Final = "model"
_MODELS: Final = PurePosixPath("/models")
# Until every node's proxy and gateway know that the pod leaves.
_FAREWELL_SECONDS: Final = 5
# Before the kubelet begins anew, whoever waits for the server.
_LOADING_SECONDS: Final = 300
_USER: Final = 65532
_KEY_VOLUME: Final = "requests-key"
_KEY_FOLDER: Final = "/seatrial/keys"
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_LOCKED: Final = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@dataclass(frozen=True, slots=True)
class Served:
    """One version to be run as `section` says. `tracking` is where pods find the registry; None: nowhere.

    `login` is a Secret in their namespace whose `prefect` is the password of the registry; None: it asks for none.
    `proofs` are the variables by which its servers know runs and the Gateway (`deployments.caller_authentication`).
    """

    launch: Launch
    section: KubernetesSection
    tracking: str | None
    login: str | None = None
    proofs: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of all its objects."""
        return object_name(self.launch.product, self.launch.version)

    @property
    def labels(self) -> dict[str, str]:
        """Of all its objects."""
        return labels_of(self.launch.product, self.launch.version)

    @property
    def patience(self) -> int:
        """Seconds that somebody waits for its pods."""
        return math.ceil(self.launch.within.total_seconds())


def deployment(served: Served) -> Object:
    """Its pods. Without `replicas` where an autoscaler sets them."""
    launch, section = served.launch, served.section
    spec: Object = {
        "selector": {"matchLabels": served.labels},
        "revisionHistoryLimit": 1,
        "progressDeadlineSeconds": served.patience,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": _template(served),
    }
    if section.autoscaling is None:
        spec["replicas"] = launch.replicas
    return {"metadata": {"name": served.name, "labels": served.labels}, "spec": spec}


def service(served: Served) -> Object:
    """Its address; ports tell a server what a request is to it."""
    ports = [
        {"name": name, "port": port, "targetPort": port, "protocol": "TCP", "appProtocol": "http"}
        for name, port in (("http", PORT), ("copies", COPIES_PORT), ("paired", PAIRED_PORT))
    ]
    return {
        "metadata": {"name": served.name, "labels": served.labels},
        "spec": {"type": "ClusterIP", "selector": served.labels, "ports": ports},
    }


def disruption_budget(served: Served) -> Object:
    """Nodes are emptied one pod at a time; one that is not ready serves nobody, and keeps no node from it."""
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": served.labels},
    }
    return {"metadata": {"name": served.name, "labels": served.labels}, "spec": spec}


def autoscaler(served: Served, scaling: AutoscalingSection) -> Object:
    """Its pods by load."""
    target = {"type": "Utilization", "averageUtilization": scaling.cpu_percent}
    return {
        "metadata": {"name": served.name, "labels": served.labels},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": served.name},
            "minReplicas": served.launch.replicas,
            "maxReplicas": max(scaling.most, served.launch.replicas),
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def _template(served: Served) -> Object:
    pod = _pod(served)
    digest = hashlib.sha256(json.dumps(pod, sort_keys=True).encode()).hexdigest()[:10]
    return {"metadata": {"labels": {**_pod_labels(served), TEMPLATE: digest}}, "spec": pod}


def _pod_labels(served: Served) -> dict[str, str]:
    return {"app.kubernetes.io/name": "seatrial-model", "app.kubernetes.io/component": "server", **served.labels}


def _pod(served: Served) -> Object:
    section = served.section
    longest = served.launch.server.limits.time.total_seconds()
    pod: Object = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": round(longest) + _FAREWELL_SECONDS + 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_server(served)],
        "volumes": [_scratch("tmp"), _scratch("models"), *_key(section), *_volumes(section.volumes)],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": served.labels},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
    }
    if section.model == "registry":
        pod["initContainers"] = [_fetcher(served)]
    if section.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in section.pull_secrets]
    if section.node_selector:
        pod["nodeSelector"] = dict(section.node_selector)
    if section.tolerations:
        pod["tolerations"] = [
            _without_none(
                key=each.key,
                value=each.value,
                effect=each.effect,
                operator="Exists" if each.value is None else "Equal",
            )
            for each in section.tolerations
        ]
    if section.service_account:
        pod["serviceAccountName"] = section.service_account
    return pod


def _server(served: Served) -> Object:
    launch = served.launch
    folder = BAKED if served.section.model == "image" else str(_MODELS / launch.product / f"v{launch.version}")
    command = ["python", "-P", "-m", "deployments.serving", "--model", folder, "--product", launch.product]
    ports = ["--port", str(PORT), "--copies-port", str(COPIES_PORT), "--paired-port", str(PAIRED_PORT)]
    trusted = [word for kind in launch.trusted for word in ("--trust", kind)]
    flags = server_flags(_with_a_place_for_its_log(launch.server), launch.key, Path())
    container = _container(served, CONTAINER)
    # By the environment: a server in an older image does not mind. The folder outlives a container that dies.
    container["env"].append({"name": "SEATRIAL_REMAINS", "value": "/tmp/remains"})  # noqa: S108 - the pod's own
    # In the place of what the user's own environment says of them.
    container["env"] = [each for each in container["env"] if each["name"] not in served.proofs]
    container["env"] += [{"name": name, "value": value} for name, value in served.proofs.items()]
    if served.section.requests_secret is not None:
        container["env"].append({"name": VARIABLE, "value": f"{_KEY_FOLDER}/{KEY_NAME}"})
        container["volumeMounts"].append({"name": _KEY_VOLUME, "mountPath": _KEY_FOLDER, "readOnly": True})
    return {
        **container,
        "command": [*command, "--version", str(launch.version), "--host", "*", *ports, *trusted, *flags],
        "ports": [
            {"name": "http", "containerPort": PORT, "protocol": "TCP"},
            {"name": "copies", "containerPort": COPIES_PORT, "protocol": "TCP"},
            {"name": "paired", "containerPort": PAIRED_PORT, "protocol": "TCP"},
        ],
        "startupProbe": _probe("/v2/health/ready", period=1, failures=max(_LOADING_SECONDS, served.patience)),
        "readinessProbe": _probe("/v2/health/ready", period=2, failures=2),
        "livenessProbe": _probe("/v2/health/live", period=10, failures=6),
        "lifecycle": {"preStop": {"sleep": {"seconds": _FAREWELL_SECONDS}}},
    }


def _with_a_place_for_its_log(server: ServerSection) -> ServerSection:
    """Without a log if it has no place: what is in a pod goes with it."""
    if server.log.folder is not None:
        return server
    return server.model_copy(update={"log": server.log.model_copy(update={"enabled": False})})


def _fetcher(served: Served) -> Object:
    launch = served.launch
    command = ["python", "-P", "-m", "deployments.registry.storage_initializer", "--product", launch.product]
    container = _container(served, FETCHER)
    if served.tracking and served.login:
        password = {"secretKeyRef": {"name": served.login, "key": "prefect"}}
        container["env"] += [
            {"name": "MLFLOW_TRACKING_USERNAME", "value": "seatrial"},
            {"name": "MLFLOW_TRACKING_PASSWORD", "valueFrom": password},
        ]
    return {
        **container,
        "command": [*command, "--version", str(launch.version), "--into", str(_MODELS)],
    }


def _container(served: Served, name: str) -> Object:
    section = served.section
    resources = section.resources
    limits = _without_none(memory=resources.memory, cpu=resources.cpu_limit)
    environment = dict.fromkeys(_THREADS, "1") | {"HOME": "/tmp", "SEATRIAL_HOME": "/tmp/seatrial"}  # noqa: S108 - the pod's own
    if served.tracking:
        environment["SEATRIAL_TRACKING_URI"] = served.tracking
    # By the environment, as above; nothing of the user's own takes its place.
    judged = {DIGEST_VARIABLE: served.launch.digest, BYTES_VARIABLE: str(served.launch.size)}
    if not served.launch.digest:
        judged = {}
    container: Object = {
        "name": name,
        "image": section.image,
        "imagePullPolicy": section.pull_policy,
        "env": [{"name": key, "value": value} for key, value in (environment | section.environment | judged).items()],
        "resources": {"requests": {"cpu": resources.cpu, "memory": resources.memory}, "limits": limits},
        "securityContext": _LOCKED,
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own
            {"name": "models", "mountPath": str(_MODELS)},
            *(
                {"name": f"volume-{place}", "mountPath": each.mount, "readOnly": each.read_only}
                for place, each in enumerate(section.volumes)
            ),
        ],
    }
    if section.secrets:
        container["envFrom"] = [{"secretRef": {"name": secret}} for secret in section.secrets]
    return container


def _volumes(volumes: tuple[VolumeRule, ...]) -> list[Object]:
    found: list[Object] = []
    for place, each in enumerate(volumes):
        name = f"volume-{place}"
        if each.secret:
            found.append({"name": name, "secret": {"secretName": each.secret}})
        elif each.config_map:
            found.append({"name": name, "configMap": {"name": each.config_map}})
        else:
            found.append({"name": name, "persistentVolumeClaim": {"claimName": each.claim}})
    return found


def _key(section: KubernetesSection) -> list[Object]:
    """Without the Secret a server says so and serves all the same, but nobody can send feedback on its answers."""
    if section.requests_secret is None:
        return []
    items = [{"key": KEY_NAME, "path": KEY_NAME}]
    secret = {"secretName": section.requests_secret, "optional": True, "defaultMode": 0o440, "items": items}
    return [{"name": _KEY_VOLUME, "secret": secret}]


def _scratch(name: str) -> Object:
    return {"name": name, "emptyDir": {}}


def _probe(path: str, period: int, failures: int) -> Object:
    get = {"path": path, "port": "http"}
    return {"httpGet": get, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures}


def _without_none(**fields: str | None) -> Object:
    return {name: value for name, value in fields.items() if value is not None}
