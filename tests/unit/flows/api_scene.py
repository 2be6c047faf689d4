"""The API over a platform in memory, asked as programs ask it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import yaml

from deployments import wiring
from deployments.clock import Clock
from deployments.errors import PlatformUnreachable
from deployments.prefect_api import PrefectApi, StartedRun
from deployments.settings import Settings
from deployments.spec import Strategy
from flows.entrypoints.control_service import api
from flows.entrypoints.control_service.access import Access
from flows.entrypoints.control_service.api.operations import ROOT
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.reports import release_plan
from flows.reports.evidence import evidence_report, replay_report
from flows.reports.release_plan import look_ahead, plan_report
from flows.reports.rollout_forecast import forecast_report
from tests.unit.flows.access_scene import Scene
from tests.unit.flows.conftest import PROJECT
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


class EvidenceHere(EvidenceProcess):
    """Weighed in this process, where the journal is that of the test."""

    def __init__(self, clock: Clock, world: World) -> None:
        super().__init__(clock)
        self._world = world

    def explanation(self, product: str, rollout_id: str) -> dict[str, Any]:
        return evidence_report(product, rollout_id)

    def replay(self, product: str, rollout_id: str) -> dict[str, Any]:
        return replay_report(product, rollout_id)

    def forecast(self, product: str, rollout_id: str) -> dict[str, Any]:
        journal = self._world.journal
        return forecast_report(journal.rollout(product, rollout_id), journal, self._world.clock.now())

    def plan(self, product: str, strategy: str | None, rate: float | None) -> dict[str, Any]:
        wanted = None if strategy is None else Strategy(strategy)
        return plan_report(look_ahead(product, wanted, rate, timedelta(seconds=1)))


class PrefectHere(PrefectApi):
    """Has every deployment but `missing`, and starts one run for each idempotency key; `away`: it does not answer."""

    def __init__(self) -> None:
        super().__init__("http://prefect/api", transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[])))
        self.runs: dict[str, tuple[str, Any, str]] = {}
        self.away = False

    def start_run(
        self, deployment: str, parameters: Any, idempotency_key: str, tags: Any = (), by: str = ""
    ) -> StartedRun:
        if self.away:
            raise PlatformUnreachable("Prefect does not answer")
        self.runs.setdefault(idempotency_key, (deployment, parameters, by))
        number = list(self.runs).index(idempotency_key)
        return StartedRun(UUID(int=number), f"quick-otter-{number}")


class ApiScene(Scene):
    """The operations over the journal of `world`; the product's spec is called wheels.yaml."""

    def __init__(self, folder: Path, world: World, **settings: Any) -> None:
        super().__init__(folder)
        self.world, self.prefect = world, PrefectHere()
        specs = folder / "specs"
        specs.mkdir()
        whole = yaml.safe_load((PROJECT / "specs" / "flights.yaml").read_text())
        spec = whole | {"product": PRODUCT, "description": "how many <b>bikes</b>", "rollout": {"replicas": 2}}
        (specs / "wheels.yaml").write_text(yaml.safe_dump(spec))
        self.settings = Settings(home=folder, project=folder, **settings)
        context = Context(
            self.settings, world.clock, lambda: world.journal, lambda: self.prefect, self.identities, False
        )
        self.evidence = EvidenceHere(world.clock, world)
        self.app = make_app(api.routes(context, self.evidence), Access(self.identities, self.access.names))

    def get(self, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        """`path` below the root, as the platform's own account unless a token is given."""
        return self.ask(f"{ROOT}{path}", token=token or self.machine_token, **more)

    def post(
        self, path: str, body: Any = None, key: str | None = None, token: str | None = None, **more: Any
    ) -> httpx.Response:
        """As `get`; `body` None: nothing is sent."""
        headers = ({"idempotency-key": key} if key else {}) | more.pop("headers", {})
        sent = {} if body is None else {"json": body}
        return self.ask(f"{ROOT}{path}", "POST", token or self.machine_token, headers=headers, **sent, **more)


def api_over(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> ApiScene:
    """The API in a folder below `folder`, whose gateway is that of `world`."""
    monkeypatch.setattr(wiring, "read_only_doors_of", lambda _: world.doors)
    (folder / "api").mkdir()
    made = ApiScene(folder / "api", world, **settings)
    monkeypatch.setattr(release_plan, "current", lambda: made.settings)
    return made


def assert_problem(answer: httpx.Response, status: int, *words: str) -> dict[str, Any]:
    """That it is a problem of RFC 9457 which says all of `words`; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = json.loads(answer.content)
    assert (told["status"], bool(told["title"])) == (status, True)
    for word in words:
        assert word in told["detail"]
    return told
