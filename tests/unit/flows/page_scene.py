"""The page over rollouts that really took place, in memory: time passes when a test says so."""

import json
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from deployments.access_control.identities import Identities
from deployments.access_control.roles import Role
from deployments.errors import PlatformUnreachable
from deployments.prefect_api import PrefectApi
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.web_login.allowed_hosts import Names
from flows.entrypoints.control_service import login
from flows.entrypoints.control_service.access import Access
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.page.board import Board
from flows.entrypoints.control_service.page.live_look import Links, LiveLook, Sources
from flows.entrypoints.control_service.page.service import routes_over
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tests.unit.flows.access_scene import HOST, Scene
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

__all__ = ["HOST", "PRODUCT", "PageScene"]


class _Away:
    """A journal that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise PlatformUnreachable("the journal sqlite:///journal.db does not answer (disk I/O error)")


class PageScene(Scene):
    """`world` has the product `bikes`; tokens and sessions are as in the scene of access."""

    def __init__(self, folder: Path, world: World | None = None) -> None:
        super().__init__(folder)
        (folder / "world").mkdir()
        (folder / "specs").mkdir()
        self.world = world or World(folder / "world")
        self.clock = self.world.clock
        self.identities = Identities(self.keys, self._open, self.clock)
        self.journal_away, self.started = False, list[Mapping[str, Any]]()
        self.specs = folder / "specs"
        access = Access(self.identities, Names.of(()))
        sources = Sources(
            self._journal,
            lambda _: self.world.router,
            nullcontext,
            self._prefect,
            lambda: Links("http://127.0.0.1:4200", "http://127.0.0.1:5000"),
            self.specs,
            self.clock,
        )
        settings = Settings(home=folder, project=folder)
        context = Context(settings, self.clock, self._journal, self._prefect, self.identities, behind_gateway=True)
        self.board = Board(LiveLook(sources), "scene")
        self.app = make_app([*routes_over(context, self.board), *login.routes(access)], access)

    def _journal(self) -> Any:
        return _Away() if self.journal_away else self.world.journal

    def _prefect(self) -> PrefectApi:
        def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/create_flow_run"):
                self.started.append(json.loads(request.content))
                return httpx.Response(200, json={"id": "0195c0de-0000-7000-8000-000000000001", "name": "run"})
            if "/deployments/name/" in request.url.path:
                return httpx.Response(200, json={"id": "1"})
            return httpx.Response(200, json=[])

        return PrefectApi("http://prefect/api", transport=httpx.MockTransport(answer))

    def spec(self, product: str = PRODUCT, description: str = "Rents of bikes by hour") -> None:
        (self.specs / f"{product}.yaml").write_text(f"product: {product}\ndescription: {json.dumps(description)}\n")

    def until(self, wanted: Callable[[Any], bool], version: int, **changes: Any) -> None:
        """Carry a rollout of `version` until its state is as wanted, and leave it there."""
        wish = replace(self.world.wish(version), **changes)
        state, carrier = begin(wish, self.world.doors), Carrier(self.world.doors)
        for _ in range(2000):
            if wanted(state) or not state.live:
                break
            state = carrier.advance(state)
        assert wanted(state), state

    def until_paused(self) -> None:
        """The rollout under way takes the order that was given, and no further step."""
        state, carrier = self.world.journal.newest()[0], Carrier(self.world.doors)
        for _ in range(10):
            state = carrier.advance(state)
            if state.phase is Phase.PAUSED:
                return

    def as_role(self, role: Role, *products: str) -> None:
        answer = self.log_in(token=self.token(role, *products))
        assert answer.status_code == 303, answer.text

    def form(self, path: str) -> dict[str, str]:
        """The hidden fields of a form."""
        page = self.browse(path).text
        return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))

    def give(self, order: str, product: str = PRODUCT, **changed: str) -> httpx.Response:
        """An order by its form."""
        path = f"/seatrial/products/{product}/orders/{order}"
        return self.browse(path, "POST", data=self.form(path) | {"reason": "as we said"} | changed)
