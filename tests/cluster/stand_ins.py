"""Pods with a stand-in for a model server: started once, and in each test servers of what it wants."""

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.analysis.evidence import LATENCY_BOUNDS_MS
from deployments.cluster import Cluster, labels_of
from deployments.cluster.object_names import COPIES_PORT, PORT
from deployments.cluster.resource_kinds import CONFIG_MAP, ENDPOINT_SLICE, POD, SERVICE
from tests.cluster.conftest import IMAGE, wait_until

_PROGRAM = Path(__file__).with_name("stand_in.py")
_NAME = "stand-in"
_LOCKED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
_FEW = 5


class StandIns:
    """Pods by the address at which users find them. One more asks in the cluster, for whoever cannot reach Services."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._numbers = cluster, itertools.count(1)
        self._names: dict[str, str] = {}
        cluster.apply(CONFIG_MAP, {"metadata": {"name": _NAME}, "data": {_PROGRAM.name: _PROGRAM.read_text()}})
        self.caller, *_ = self._start(1)
        self.replenish()

    def replenish(self) -> list[str]:
        """Addresses of as many as any test needs, which lead nowhere yet."""
        self._names = {address: name for address, name in self._names.items() if self._cluster.get(POD, name)}
        if missing := _FEW - len(self._names):
            self._names |= {self._address(name): name for name in self._start(missing)}
        for name in self._names.values():
            nowhere = dict.fromkeys((*labels_of("any", 1), "seatrial.dev/serving"))
            self._cluster.merge(POD, name, {"metadata": {"labels": nowhere}})
            self.tell(name, "become", version=0)
        return sorted(self._names)

    def employ(self, product: str, version: int, address: str) -> None:
        """From now on a server of this version."""
        name = self._names[address]
        self.tell(name, "become", version=version)
        self._cluster.merge(POD, name, {"metadata": {"labels": labels_of(product, version)}})

    def name_of(self, address: str) -> str | None:
        """Of the pod there; None for none of ours."""
        return self._names.get(address)

    def tell(self, name: str, what: str, **told: Any) -> Any:
        """See `stand_in`; what it answers."""
        path, body = f"/stand-in/{what}", json.dumps(told).encode()
        said = self._cluster.proxied(name, COPIES_PORT, "POST", path, body, 60)
        assert said.status == 200, said
        return json.loads(said.body)

    def stop(self, address: str) -> None:
        """Its pod goes, and is led to by nobody afterwards."""
        name = self._names.pop(address)
        self._cluster.delete(POD, name)
        wait_until(lambda: self._cluster.get(POD, name) is None)

    def led_to(self, service: str) -> set[str]:
        """Addresses that a Service leads to."""
        slices, _ = self._cluster.list(ENDPOINT_SLICE, f"kubernetes.io/service-name={service}")
        ready = (each for some in slices for each in some["endpoints"] or [] if each["conditions"]["ready"])
        return {f"{address}:{PORT}" for each in ready for address in each["addresses"]}

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Requests for /held are not answered while the block lasts."""
        for name in self._names.values():
            self.tell(name, "hold")
        try:
            yield
        finally:
            for name in self._names.values():
                self.tell(name, "release")

    def waiting(self) -> int:
        """How many requests are held."""
        return sum(self._counts(name)["in_flight"] for name in self._names.values())

    def _counts(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(
            self._cluster.proxied(name, COPIES_PORT, "GET", "/seatrial/counts", None, 5).body
        )
        return found

    def _start(self, count: int) -> list[str]:
        names = [f"{_NAME}-{next(self._numbers)}" for _ in range(count)]
        for name in names:
            self._cluster.create(POD, _pod(name))
        wait_until(lambda: all(map(self._ready, names)), 120)
        return names

    def _ready(self, name: str) -> bool:
        status = (self._cluster.get(POD, name) or {}).get("status") or {}
        return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or [])

    def _address(self, name: str) -> str:
        pod = self._cluster.get(POD, name)
        assert pod is not None
        return f"{pod['status']['podIP']}:{PORT}"


def sweep_services(cluster: Cluster) -> None:
    """Those of every version and product."""
    for each in cluster.list(SERVICE, "app.kubernetes.io/managed-by=seatrial")[0]:
        cluster.delete(SERVICE, each["metadata"]["name"])


def _pod(name: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/v2/health/ready", "port": PORT}, "periodSeconds": 1}
    container = {
        "name": _NAME,
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-I", f"/program/{_PROGRAM.name}"],
        "env": [{"name": "SEATRIAL_BUCKETS", "value": str(len(LATENCY_BOUNDS_MS) + 1)}],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": _LOCKED,
        "volumeMounts": [{"name": "program", "mountPath": "/program"}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # It does not listen to SIGTERM.
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": _NAME}}],
    }
    return {"metadata": {"name": name}, "spec": spec}
