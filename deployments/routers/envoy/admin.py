"""What the gateway reports of itself, asked over its admin socket."""

import contextlib
import http.client
import json
import re
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.analysis.evidence import Counts
from deployments.errors import RouterUnreachable
from deployments.routers.envoy.access_log import MODEL_SCOPE
from deployments.routers.envoy.clusters import address_of
from deployments.routers.envoy.config_files import ADMIN_SOCKET, Json
from deployments.routers.envoy.listener import STAT_PREFIX
from deployments.routers.envoy.route_config import TABLE
from deployments.routers.envoy.stats import counts_by_version, mirrored_by_version
from deployments.supervision import UnixConnection

_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Subscription:
    """How far Envoy is with one watched file: the version it took last, and how many updates it took or refused."""

    version: str
    taken: int
    refused: int


@dataclass(frozen=True, slots=True)
class Admin:
    """Questions to one Envoy. All raise `RouterUnreachable` when it does not answer `within` so many seconds."""

    path: Path
    within: float = _TIMEOUT_SECONDS

    def clusters(self) -> Subscription:
        """The state of the list of clusters (CDS)."""
        return self._subscription("cluster_manager.cds")

    def routes(self) -> Subscription:
        """The state of the route table (RDS)."""
        return self._subscription(f"http.{STAT_PREFIX}.rds.{TABLE}")

    def route_table(self) -> Json:
        """The route configuration that is live; empty if there is none yet."""
        dumped = self._json("/config_dump?resource=dynamic_route_configs").get("configs", [])
        tables: list[Json] = [each.get("route_config", {}) for each in dumped]
        return next((table for table in tables if table.get("name") == TABLE), {})

    def servers(self) -> dict[str, dict[str, bool]]:
        """By cluster: every address that Envoy knows, in its order, and whether it gets requests."""
        statuses = self._json("/clusters?format=json").get("cluster_statuses", [])
        return {
            each["name"]: {address_of(host["address"]): _is_well(host) for host in each.get("host_statuses", [])}
            for each in statuses
        }

    def in_flight(self, cluster: str) -> int:
        """Requests that a cluster answers or holds back for a connection; 0 for an unknown one."""
        found = self._stats(rf"^cluster\.{re.escape(cluster)}\.upstream_rq_(pending_)?active$")
        return sum(int(value) for value in found.values())

    def requests(self) -> int:
        """Requests that clients are waiting for right now."""
        return sum(int(value) for value in self._stats(rf"^http\.{STAT_PREFIX}\.downstream_rq_active$").values())

    def stop_accepting(self) -> None:
        """Tell clients to go elsewhere, and close the listener after the drain time of the command line."""
        self._ask("POST", "/drain_listeners?graceful")

    def reopen_logs(self) -> None:
        """Write lines into the file that has the log's name now."""
        self._ask("POST", "/reopen_logs")

    def started_at(self) -> str:
        """When this Envoy started, in its own words, to the millisecond."""
        dumped = self._json("/config_dump?mask=last_updated").get("configs", [])
        return str(next(each["last_updated"] for each in dumped if each["@type"].endswith(".BootstrapConfigDump")))

    def counted(self, product: str) -> Mapping[tuple[int, bool], Counts]:
        """By version and by whether with a key, what was asked since Envoy's start; see `tallies.counted`.

        Latencies, and what was given up, follow after half a second.
        """
        pattern = rf"^{MODEL_SCOPE}\..*{re.escape(product)}_v"
        return counts_by_version(
            self._ask("GET", f"/stats/prometheus?usedonly&filter={_quoted(pattern)}").decode(), product
        )

    def copied(self, product: str) -> Mapping[int, Counts]:
        """By version, what became of mirrored copies since Envoy's start."""
        pattern = rf"^cluster\.{re.escape(product)}_v[0-9]+_mirror\.upstream_rq_(completed|5xx|pending_overflow)$"
        return mirrored_by_version({name: int(value) for name, value in self._stats(pattern).items()}, product)

    def _subscription(self, prefix: str) -> Subscription:
        found = self._stats(rf"^{re.escape(prefix)}\.(version_text|update_success|update_rejected|update_failure)$")
        refused = int(found.get(f"{prefix}.update_rejected", 0)) + int(found.get(f"{prefix}.update_failure", 0))
        return Subscription(
            str(found.get(f"{prefix}.version_text", "")), int(found.get(f"{prefix}.update_success", 0)), refused
        )

    def _stats(self, pattern: str) -> Mapping[str, int | str]:
        listed = self._json(f"/stats?format=json&filter={_quoted(pattern)}")["stats"]
        return {each["name"]: each["value"] for each in listed if "name" in each}

    def _json(self, target: str) -> Json:
        answer: Json = json.loads(self._ask("GET", target))
        return answer

    def _ask(self, method: str, target: str) -> bytes:
        connection = UnixConnection(self.path, self.within)
        try:
            connection.request(method, target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise RouterUnreachable(
                f"the gateway does not answer at {self.path} ({reason}): see that it runs, then try again"
            ) from error
        finally:
            connection.close()
        if response.status != 200:
            raise RouterUnreachable(
                f"the gateway answers {response.status} to {target} at {self.path}: was it started by `prepare`?"
            )
        return body


def is_alive(run_folder: Path) -> bool:
    """Whether the Envoy whose admin socket is in `run_folder` says that it is ready for requests, within 5 s."""
    with contextlib.closing(UnixConnection(run_folder.resolve() / ADMIN_SOCKET, _TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False


def _quoted(pattern: str) -> str:
    return urllib.parse.quote(pattern, safe="")


def _is_well(host: Mapping[str, Any]) -> bool:
    status = host.get("health_status", {})
    return not any(
        status.get(flag) for flag in ("failed_active_health_check", "pending_active_hc", "active_hc_timeout")
    )
