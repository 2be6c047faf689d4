"""Prefect's API as far as webhooks need it: one run for each key, and an answer that may be lost."""

import json
from collections.abc import Callable
from uuid import uuid4

import httpx

from deployments.prefect_api import PrefectApi


class FakePrefect:
    """Answers as Prefect 3.8.8 does. `before` may end a request with an error; `deployments` are those there are."""

    def __init__(self, *deployments: str) -> None:
        self.deployments = set(deployments or ("release/shop", "retry/retry"))
        self.runs: dict[tuple[str, str], dict[str, object]] = {}
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        self.refuses = False
        self.states: dict[str, tuple[str, str]] = {}
        self.asked = 0

    def api(self) -> PrefectApi:
        return PrefectApi("http://prefect/api", ("seatrial", "hunter2"), httpx.MockTransport(self))

    @property
    def parameters(self) -> list[object]:
        return [run["parameters"] for run in self.runs.values()]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.before()
        parts = request.url.path.removeprefix("/api/").split("/")
        match parts:
            case ["deployments", "name", flow, name]:
                there = f"{flow}/{name}" in self.deployments
                return httpx.Response(200, json={"id": f"{flow}.{name}"}) if there else httpx.Response(404)
            case ["deployments", deployment, "create_flow_run"]:
                if self.refuses:
                    return httpx.Response(409, json={"detail": "Validation failed for field 'request'"})
                wanted = json.loads(request.content)
                run = self.runs.setdefault(
                    (deployment, wanted["idempotency_key"]), wanted | {"id": str(uuid4()), "name": "a run"}
                )
                self.after()
                return httpx.Response(201, json=run)
            case ["flow_runs", "filter"]:
                found = [
                    {"id": run, "state": {"type": kind, "timestamp": since}}
                    for run, (kind, since) in self.states.items()
                    if kind == "PENDING"
                ]
                return httpx.Response(200, json=found)
            case ["flow_runs", run, "set_state"]:
                self.states[run] = (json.loads(request.content)["state"]["type"], "")
                return httpx.Response(201, json={})
        return httpx.Response(404)
