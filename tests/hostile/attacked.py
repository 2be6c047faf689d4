"""A platform that is attacked: every listener of it, its legal users, its processes, its logs and its records."""

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from deployments.metrics.feedback.store import FeedbackLedger
from deployments.settings import Settings
from deployments.supervision.program import PROGRAM_VARIABLE
from flows.entrypoints.runner.temporary_prefect import PrefectForOneCommand
from tests.e2e.conftest import Seatrial
from tests.e2e.traffic import ROW
from tests.hostile import requests
from tests.hostile.bodies import INFER, MARK, MLFLOW
from tests.hostile.listeners import (
    ADMIN_SHUT,
    Listener,
    hidden_answers,
    never_a_word,
    nothing_stored,
    only_open_paths,
    shut_admin,
)
from tests.hostile.served import OnPort, serving_on_port

# Of libraries that say so of what is no request: supervisord's, and Prefect's channel to its runs.
_LIBRARIES = {"supervisord.log", "prefect-worker.log"}
_MODEL = (
    MLFLOW, INFER, "/v2", "/v2/health/ready", "/metrics", "/docs", "/openapi.json", "/ping", "/version", "/v2/models/x",
    "/seatrial/answers", "/seatrial/users", "/seatrial/counts?x=1",
)  # fmt: skip
_PREFECT = (
    "/api/health", "/api/ready", "/api/flow_runs/filter", "/api/deployments/filter", "/api/admin/settings", "/",
    "/api/work_pools/seatrial", "/api/events/in", "/api/logs/out", "/seatrial/login", "/docs", "/api/logs/",
    "/api/deployments/0/create_flow_run", "/ui-settings", "/api/variables/filter", "/api/admin/database/drop",
)  # fmt: skip
_MLFLOW_PATHS = (
    "/health", "/", "/version", "/api/2.0/mlflow/experiments/search", "/api/2.0/mlflow/registered-models/create",
    "/ajax-api/2.0/mlflow/runs/search", "/get-artifact?path=../../x&run_uuid=y", "/graphql", "/v1/traces",
    "/api/2.0/mlflow-artifacts/artifacts/../../x", "/seatrial/login", "/static-files/index.html", "/gateway/x",
)  # fmt: skip
_ADMIN = (
    "/stats", "/stats?filter=(a%2B)%2B$", "/stats/prometheus", "/clusters?format=json", "/config_dump?mask=x",
    "/config_dump?resource=dynamic_route_configs", "/ready", "/server_info", *ADMIN_SHUT,
)  # fmt: skip
_GATEWAY = (
    "/shop/invocations", "/shop/v2/models/shop/infer", "/shop/v2", "/shop/metrics", "/seatrial/health", "/nobody/x",
    "/seatrial/feedback", "/", "/shop/docs",
    "/shop/../seatrial/feedback", "/shop/seatrial/answers",
    "/shop/seatrial/users",
)  # fmt: skip
_SUPERVISORD = (
    "/RPC2", "/RPC2/x", "/", "/logtail/nobody", "/tail.html?processname=nobody", "/stylesheets/x",
    "/index.html?action=nothing&processname=nobody",
)  # fmt: skip


@dataclass
class Attacked:
    """`seatrial` is up, and serves `product`."""

    seatrial: Seatrial
    product: str = "shop"
    further: dict[str, psutil.Process] = field(default_factory=dict)
    fed: int = 0
    _logs: dict[Path, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._logs = {path: path.stat().st_size for path in self._log_files()}

    @property
    def home(self) -> Path:
        return self.seatrial.home

    @cached_property
    def settings(self) -> Settings:
        return Settings(home=self.home, project=self.seatrial.project)

    @cached_property
    def ports(self) -> dict[str, int]:
        told = json.loads((self.home / "platform.json").read_text())
        return {part: told[part] for part in ("gateway", "prefect", "mlflow")}

    @cached_property
    def secrets(self) -> tuple[bytes, ...]:
        return tuple(path.read_bytes().strip() for path in self.settings.keys_folder.iterdir() if path.is_file())

    def processes(self) -> dict[str, psutil.Process]:
        """By the name of the program, and those that were started beside the platform."""
        daemon = psutil.Process(int((self.home / "run" / "supervisord.pid").read_text()))
        found = {"supervisord": daemon, **self.further}
        for process in daemon.children():
            with contextlib.suppress(psutil.Error, KeyError):
                found[process.environ()[PROGRAM_VARIABLE]] = process
        return found

    def listeners(self) -> list[Listener]:
        """Those of the platform itself."""
        run = (self.home / "run").resolve()

        def name(part: str) -> str:
            return f"127.0.0.1:{self.ports[part]}"

        shop = tuple(path.replace("/shop/", f"/{self.product}/") for path in _GATEWAY)
        known: dict[str, Any] = {"secrets": self.secrets}
        # A coding that it does not know (RFC 9112, 6.1).
        envoy = known | {"failing": frozenset({501})}
        made = [
            Listener(
                "gateway", self.ports["gateway"], name("gateway"), shop, nothing_stored, requests.feedback, **envoy
            ),
            Listener("Envoy's uploads", run / "uploads.sock", name("gateway"), shop, nothing_stored, **envoy),
            Listener("Envoy's admin", run / "envoy.sock", "envoy", _ADMIN, shut_admin, **envoy),
            self._door("Prefect", self.ports["prefect"]),
            self._door("MLflow", self.ports["mlflow"]),
            Listener(
                "control service", run / "control.sock", "control",
                ("/seatrial/feedback", "/seatrial/feedback", "/health"), nothing_stored, requests.feedback, **known,
            ),
            Listener(
                "supervisord", run / "supervisord.sock", "supervisord", _SUPERVISORD, bodies=requests.remote_call,
                failing=frozenset({500, 501}), **known,
            ),
            Listener("warm process", run / "warm.sock", "", (), speaks_http=False, **known),
            Listener("Prefect's worker", self.port_of_worker(), "", (), never_a_word, speaks_http=False, **known),
        ]  # fmt: skip
        for socket_of_model in sorted(run.glob(f"model-{self.product}-*.sock")):
            gateway = (b"x-forwarded-proto: http",)
            made.append(
                Listener(
                    f"model server {socket_of_model.stem}", socket_of_model, "x", _MODEL, hidden_answers,
                    headers=gateway, **known,
                )
            )  # fmt: skip
        return made

    @contextlib.contextmanager
    def prefect_for_one_command(self) -> Iterator[Listener]:
        """While it is up."""
        server = PrefectForOneCommand(self.settings)
        try:
            server.wait()
            self.further["prefect-for-one-command"] = psutil.Process(server._process.pid)
            port = int(server.api_url.rpartition(":")[2].partition("/")[0])
            yield self._door("Prefect for one command", port)
        finally:
            self.further.pop("prefect-for-one-command", None)
            server._end()

    @contextlib.contextmanager
    def pod(self, model: Path) -> Iterator[list[Listener]]:
        """A model server on three TCP ports, as in a pod."""
        ports = {mark: _free_port() for mark in ("copies", "copied")}
        options = ("--copies-port", str(ports["copies"]), "--paired-port", str(ports["copied"]), "--max-seconds", "5")
        with serving_on_port(model, *options) as served:
            assert isinstance(served, OnPort)
            self.further["model server in a pod"] = psutil.Process(served.process.pid)
            try:
                yield [
                    Listener("pod: users (8080)", served.port, "x", _MODEL, hidden_answers),
                    Listener("pod: copies (8081)", ports["copies"], "x", _MODEL),
                    Listener("pod: copied (8082)", ports["copied"], "x", _MODEL, hidden_answers),
                ]
            finally:
                del self.further["model server in a pod"]

    def legal(self) -> str:
        """What is wrong with how those are served who may ask; "" if nothing is."""
        with contextlib.suppress(httpx.HTTPError):
            answer = self.seatrial.ask(self.product, [ROW])
            if answer.status_code != 200 or len(answer.json()["predictions"]) != 1:
                return f"a prediction: {answer.status_code} {answer.text[:200]}"
            self._feed(answer.headers["x-request-id"])
            for part, method, path in (
                ("prefect", "POST", "/api/flows/count"),
                ("mlflow", "GET", "/api/2.0/mlflow/experiments/search?max_results=1"),
            ):
                with self.seatrial.api(part, "") as client:
                    told = client.request(method, path, json={} if method == "POST" else None)
                    if told.status_code != 200:
                        return f"{part}: {told.status_code} {told.text[:200]}"
            return ""
        return "a legal user was not answered in time"

    def _feed(self, request_id: str) -> None:
        item = {"product": self.product, "version": 1, "request_id": request_id, "metric": "revenue", "value": 1.0}
        url = f"http://127.0.0.1:{self.ports['gateway']}/seatrial/feedback"
        answer = httpx.post(url, json=item, timeout=120, trust_env=False)
        self.fed += answer.status_code == 202

    def counted(self) -> int:
        """Values of feedback that were stored, of all products."""
        ledger = FeedbackLedger(self.settings.feedback_database)
        with contextlib.closing(ledger):
            return sum(ledger.numbers().values())

    def said(self) -> list[str]:
        """What must not stand in what was logged since the beginning."""
        wrong = []
        for path in self._log_files():
            before = self._logs.get(path, 0)
            content = path.read_bytes()
            new = content[before:] if len(content) >= before else content
            wrong += [f"{path.name} holds a key"] * any(secret in new for secret in self.secrets)
            if path.name in _LIBRARIES:
                continue
            wrong += [f"{path.name} holds what somebody sent"] * (MARK.encode() in new)
            if b"Traceback (most recent" in new:
                at = new.index(b"Traceback (most recent")
                wrong.append(f"{path.name}: {new[max(0, at - 300) : at + 3_000].decode(errors='replace')}")
        return wrong

    def size_mib(self) -> float:
        """Of all files in the home."""
        sizes = 0
        for path in self.home.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                sizes += path.lstat().st_size
        return sizes / 1024 / 1024

    def listening(self) -> set[int | str]:
        """Where the platform's processes listen: ports, and names of sockets in its run folder."""
        found: set[int | str] = set()
        for process in self.processes().values():
            with contextlib.suppress(psutil.Error):
                for each in process.net_connections("all"):
                    if each.family == socket.AF_UNIX and each.laddr:
                        found.add(Path(str(each.laddr)).name)
                    elif each.status == psutil.CONN_LISTEN:
                        found.add(each.laddr.port)
        return found

    def _door(self, name: str, port: int) -> Listener:
        part = "mlflow" if name == "MLflow" else "prefect"
        paths = _MLFLOW_PATHS if part == "mlflow" else _PREFECT
        host = f"127.0.0.1:{port}"
        return Listener(name, port, host, paths, only_open_paths(part), requests.login, secrets=self.secrets)

    def port_of_worker(self) -> int:
        """Where Prefect's worker listens to its runs; it is drawn anew with each start."""
        [port] = [
            each.laddr.port
            for each in self.processes()["prefect-worker"].net_connections("inet")
            if each.status == psutil.CONN_LISTEN
        ]
        return int(port)

    def _log_files(self) -> list[Path]:
        return [path for path in (self.home / "logs").rglob("*") if path.is_file()]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
