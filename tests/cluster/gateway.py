"""A Gateway for tests: a small controller that does with a real Envoy what HTTPRoutes of one Gateway say.

It knows what Gateway API calls core and what we use besides: path prefixes, exact and pattern matches of headers,
ReplacePrefixMatch, weights, RequestMirror with a fraction. It sends to the pods that EndpointSlices name as ready, and
writes Accepted and ResolvedRefs into the status of each route, as conformant implementations do.
"""

import json
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deployments.cluster import ApiError, Cluster
from deployments.cluster.resource_kinds import ENDPOINT_SLICE, HTTP_ROUTE, SERVICE
from deployments.routers.envoy.config_files import write_document
from deployments.routers.envoy.config_validation import envoy_binary

Object = dict[str, Any]

CONTROLLER = "seatrial.dev/trial-gateway"
_LOOK_SECONDS = 0.1
_WARMING_SECONDS = 0.5
_FILTERS = "type.googleapis.com/envoy.extensions.filters"


class TrialGateway:
    """Listens on `port`; keeps what Envoy reads in `folder`. `name` is that of the Gateway that routes name."""

    def __init__(self, cluster: Cluster, name: str, folder: Path, port: int) -> None:
        self._cluster, self._name, self._folder, self.port = cluster, name, folder, port
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="trial-gateway", daemon=True)
        self._envoy: subprocess.Popen[bytes] | None = None
        self._written: dict[str, Object] = {}

    def __enter__(self) -> "TrialGateway":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._write("cds", [])
        self._write("rds", [_table([])])
        bootstrap = self._folder / "bootstrap.json"
        bootstrap.write_text(json.dumps(self._bootstrap()))
        command = [str(envoy_binary()), "-c", str(bootstrap), "--disable-hot-restart", "-l", "error"]
        log = (self._folder / "envoy.log").open("wb")
        with log:
            self._envoy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()
        if self._envoy is not None:
            self._envoy.terminate()
            self._envoy.wait(10)

    def _work(self) -> None:
        while not self._ending.wait(_LOOK_SECONDS):
            with suppress(ApiError):
                self._look()

    def _look(self) -> None:
        found, _ = self._cluster.list(HTTP_ROUTE)
        routes = [route for route in found if any(each["name"] == self._name for each in route["spec"]["parentRefs"])]
        wanted = sorted({back_end for route in routes for back_end in _back_ends(route)})
        services = {each["metadata"]["name"]: each for each in self._cluster.list(SERVICE)[0]}
        for service, port in wanted:
            self._write(_cluster_name(service, port), [self._endpoints(service, port, services.get(service))])
        if self._write("cds", [self._cluster_of(service, port) for service, port in wanted]):
            # Routes may lead to clusters only once Envoy has them.
            self._ending.wait(_WARMING_SECONDS)
        rules = [rule for route in routes for rule in route["spec"].get("rules") or []]
        self._write("rds", [_table([each for rule in rules for each in _envoy_routes(rule)])])
        for route in routes:
            self._tell(route, {service for service, _ in _back_ends(route)} - services.keys())

    def _tell(self, route: Object, missing: set[str]) -> None:
        """The conditions of the route, if they are not there yet for its present generation."""
        generation = route["metadata"]["generation"]
        refs = ("False", "BackendNotFound", f"no Service {min(missing)}") if missing else ("True", "ResolvedRefs", "")
        wanted = [
            _condition("Accepted", "True", "Accepted", "", generation),
            _condition("ResolvedRefs", *refs, generation),
        ]
        parents = (route.get("status") or {}).get("parents") or []
        if parents and _same(parents[0].get("conditions") or [], wanted):
            return
        parent = {"parentRef": route["spec"]["parentRefs"][0], "controllerName": CONTROLLER, "conditions": wanted}
        self._cluster.merge(HTTP_ROUTE, f"{route['metadata']['name']}/status", {"status": {"parents": [parent]}})

    def _endpoints(self, service: str, port: int, found: Object | None) -> Object:
        slices, _ = self._cluster.list(ENDPOINT_SLICE, f"kubernetes.io/service-name={service}")
        targets = {
            each["port"]: each.get("targetPort", each["port"])
            for each in (found or {"spec": {}})["spec"].get("ports", [])
        }
        addresses = sorted(
            address
            for each in slices
            for endpoint in each.get("endpoints") or []
            if (endpoint.get("conditions") or {}).get("ready") is not False
            for address in endpoint["addresses"]
        )
        ends = [
            {"endpoint": {"address": {"socket_address": {"address": address, "port_value": targets.get(port, port)}}}}
            for address in addresses
        ]
        return {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": _cluster_name(service, port),
            "endpoints": [{"lb_endpoints": ends}] if ends else [],
        }

    def _cluster_of(self, service: str, port: int) -> Object:
        name = _cluster_name(service, port)
        return {
            "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            "name": name,
            "type": "EDS",
            "connect_timeout": "2s",
            "eds_cluster_config": {"eds_config": self._source(name)},
        }

    def _source(self, name: str) -> Object:
        return {"path_config_source": {"path": str(self._folder / f"{name}.json")}, "resource_api_version": "V3"}

    def _write(self, name: str, resources: list[Object]) -> bool:
        """Whether that is news for Envoy."""
        document = {"version_info": str(time.monotonic_ns()), "resources": resources}
        if self._written.get(name, {}).get("resources") == resources:
            return False
        write_document(self._folder / f"{name}.json", document)
        self._written[name] = document
        return True

    def _bootstrap(self) -> Object:
        manager = {
            "@type": f"{_FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "trial",
            "rds": {"route_config_name": "trial", "config_source": self._source("rds")},
            "http_filters": [
                {
                    "name": "router",
                    "typed_config": {"@type": f"{_FILTERS}.http.router.v3.Router"},
                }
            ],
        }
        listener = {
            "name": "http",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": self.port}},
            "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
        }
        return {
            "node": {"id": "trial", "cluster": "trial"},
            "static_resources": {"listeners": [listener]},
            "dynamic_resources": {"cds_config": self._source("cds")},
        }


def _back_ends(route: Mapping[str, Any]) -> set[tuple[str, int]]:
    found = set()
    for rule in route["spec"].get("rules") or []:
        found |= {(each["name"], each["port"]) for each in rule.get("backendRefs") or []}
        mirrors = [each["requestMirror"]["backendRef"] for each in rule.get("filters") or [] if "requestMirror" in each]
        found |= {(each["name"], each["port"]) for each in mirrors}
    return found


def _envoy_routes(rule: Object) -> list[Object]:
    action = _action(rule)
    return [{"match": _match(match), **action} for match in rule.get("matches") or [{}]]


def _match(match: Object) -> Object:
    path = match.get("path") or {"type": "PathPrefix", "value": "/"}
    found: Object = {"path": path["value"]} if path["type"] == "Exact" else {"prefix": path["value"]}
    headers = [
        {
            "name": each["name"],
            "string_match": {"safe_regex": {"regex": each["value"]}}
            if each.get("type") == "RegularExpression"
            else {"exact": each["value"]},
        }
        for each in match.get("headers") or []
    ]
    return found | ({"headers": headers} if headers else {})


def _action(rule: Object) -> Object:
    back_ends = [each for each in rule.get("backendRefs") or [] if each.get("weight", 1)]
    if not back_ends:
        return {"direct_response": {"status": 500}}
    weighted = [
        {"name": _cluster_name(each["name"], each["port"]), "weight": each.get("weight", 1)} for each in back_ends
    ]
    action: Object = {"weighted_clusters": {"clusters": weighted}, "timeout": "60s"}
    for each in rule.get("filters") or []:
        if each["type"] == "URLRewrite":
            action["prefix_rewrite"] = each["urlRewrite"]["path"]["replacePrefixMatch"]
        if each["type"] == "RequestMirror":
            mirror = each["requestMirror"]
            fraction = mirror.get("fraction") or {"numerator": 100, "denominator": 100}
            millionths = round(fraction["numerator"] / fraction["denominator"] * 1_000_000)
            action["request_mirror_policies"] = [
                {
                    "cluster": _cluster_name(mirror["backendRef"]["name"], mirror["backendRef"]["port"]),
                    "runtime_fraction": {"default_value": {"numerator": millionths, "denominator": "MILLION"}},
                }
            ]
    return {"route": action}


def _table(routes: list[Object]) -> Object:
    # Of routes with the same path the one with more headers comes first, as Gateway API says.
    ordered = sorted(routes, key=lambda each: -len(each["match"].get("headers", [])))
    return {
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "trial",
        "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": ordered}],
        "validate_clusters": False,
    }


def _cluster_name(service: str, port: int) -> str:
    return f"{service}-{port}"


def _condition(kind: str, status: str, reason: str, message: str, generation: int) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _same(there: list[Object], wanted: list[Object]) -> bool:
    def told(conditions: list[Object]) -> list[tuple[Any, ...]]:
        return [(each["type"], each["status"], each.get("observedGeneration")) for each in conditions]

    return told(there) == told(wanted)
