"""Requests as they go over the wire, and the objects that the tests send."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

from tests.fakes.kubernetes import FakeKubernetes
from tests.fakes.kubernetes.kinds import BY_NAME, Json

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


def path_of(kind: str, name: str = "", namespace: str = "default") -> str:
    known = BY_NAME[kind]
    group = f"/apis/{known.group}/{known.version}" if known.group else "/api/v1"
    within = f"/namespaces/{namespace}" if known.namespaced and namespace else ""
    return f"{group}{within}/{known.plural}" + (f"/{name}" if name else "")


@dataclass(frozen=True, slots=True)
class Caller:
    """Each call gives the code of the answer and its body."""

    api: FakeKubernetes
    wire: httpx.Client

    def __call__(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: Any
    ) -> tuple[int, Any]:
        answer = self.send(method, path, body, content_type, **query)
        parsed = answer.json() if answer.headers["Content-Type"] == "application/json" else answer.text
        return answer.status_code, parsed

    def send(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: Any
    ) -> httpx.Response:
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": content_type, "User-Agent": "tester/1"}
        return self.wire.request(method, self.api.url + path, params=query, content=sent, headers=headers)

    def create(self, thing: Json) -> Json:
        code, made = self("POST", path_of(thing["kind"], namespace=_namespace(thing)), thing)
        assert code == 201, made
        return dict(made)

    def get(self, kind: str, name: str) -> Json:
        code, thing = self("GET", path_of(kind, name))
        assert code == 200, thing
        return dict(thing)

    def apply(self, thing: Json, manager: str = "seatrial", force: bool = False) -> tuple[int, Json]:
        path = path_of(thing["kind"], thing["metadata"]["name"], _namespace(thing))
        return self("PATCH", path, thing, APPLY, fieldManager=manager, force=str(force).lower())

    def merge(self, kind: str, name: str, patch: Json, **query: str) -> tuple[int, Json]:
        return self("PATCH", path_of(kind, name), patch, MERGE, **query)


def _namespace(thing: Json) -> str:
    return str(thing["metadata"].get("namespace", "default"))


def config_map(name: str = "settings", labels: dict[str, str] | None = None, **data: str) -> Json:
    metadata: Json = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str = "web", replicas: int | None = 2, image: str = "web:1") -> Json:
    container = {"name": "model", "image": image, "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec: Json = {"selector": {"matchLabels": {"app": name}}, "template": template}
    spec |= {} if replicas is None else {"replicas": replicas}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str = "web") -> Json:
    spec = {"selector": {"app": name}, "ports": [{"port": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def gateway(name: str = "front") -> Json:
    listener = {"name": "http", "port": 80, "protocol": "HTTP"}
    spec = {"gatewayClassName": "any", "listeners": [listener]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name}, "spec": spec}


def route(name: str = "flights", backends: dict[str, int] | None = None) -> Json:
    refs = [{"name": backend, "port": 8080, "weight": weight} for backend, weight in (backends or {"web": 1}).items()]
    spec = {"parentRefs": [{"name": "front"}], "rules": [{"backendRefs": refs}]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": name}, "spec": spec}
