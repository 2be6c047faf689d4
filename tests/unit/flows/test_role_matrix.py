"""Every route of the control service, asked by everybody: who may not gets nothing, whatever the route would answer."""

import re
from pathlib import Path
from typing import Any, NoReturn

import pytest

from deployments.access_control.roles import Permission, Role
from deployments.clock import ManualClock
from deployments.errors import PlatformUnreachable
from deployments.metrics.feedback.rate_limit import Rates
from deployments.settings import Settings
from deployments.webhooks.group_commit import GroupCommit
from deployments.webhooks.hooks import Hooks
from flows.entrypoints.control_service import api, feedback, login, page
from flows.entrypoints.control_service.access import GuardedRoute, PublicRoute
from flows.entrypoints.control_service.app import make_app
from flows.entrypoints.control_service.context import Context
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.control_service.webhooks import endpoint
from tests.unit.flows.access_scene import Scene


def _away(*_: object) -> NoReturn:
    raise PlatformUnreachable("nothing is there")


class Service(Scene):
    """All rooms, over nothing: whoever is let in is told 404, 503 and the like, and never 401 or 403."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        clock = ManualClock()
        context = Context(Settings(home=folder, project=folder), clock, _away, _away, self.identities, False)
        rooms = [
            *feedback.routes(_away, _away, clock),
            *endpoint.routes(Hooks(self.keys), GroupCommit(_away), Rates(10, clock), clock),
            *login.routes(self.access),
            *api.routes(context, EvidenceProcess(clock)),
            *page.routes(context),
        ]
        self.app = make_app(rooms, self.access)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("service"))


def guarded(service: Service) -> list[tuple[GuardedRoute, str, str]]:
    """Each route with a method of it, and a path that leads to it."""
    return [
        (route, method, re.sub(r"\{(\w+)(:\w+)?\}", lambda part: "pause" if part[1] == "order" else "shop", route.path))
        for route in service.app.routes
        if isinstance(route, GuardedRoute)
        for method in sorted(route.methods or ())
    ]


def test_every_route_says_who_may_ask_it_and_few_answer_everybody(service: Service) -> None:
    assert len(guarded(service)) > 40
    public = {route.path for route in service.app.routes if isinstance(route, PublicRoute)}
    assert public == {
        "/health",
        "/seatrial/assets/{digest}/{name}",
        "/seatrial/feedback",
        "/seatrial/login",
        "/seatrial/logout",
        "/seatrial/webhooks/{source}/{product}",
    }


def refused(service: Service, method: str, path: str, token: str | None) -> bool:
    answer = service.ask(path, method, token, **({"json": {}} if method == "POST" else {}))
    to_login = answer.status_code == 303 and answer.headers["location"] == "/seatrial/login"
    hidden = answer.status_code == 404 and b"may see" in answer.content
    return to_login or hidden or answer.status_code in {401, 403}


def test_nobody_is_let_in_without_a_good_token(service: Service) -> None:
    for _, method, path in guarded(service):
        for token in (None, "x", service.machine_token[:-1], service.machine_token + "x"):
            assert refused(service, method, path, token), f"{method} {path}"


@pytest.mark.parametrize("role", Role)
def test_each_role_is_let_in_where_it_may_and_nowhere_else(service: Service, role: Role) -> None:
    everywhere, here, elsewhere = (service.token(role, *of) for of in ((), ("shop",), ("flights",)))
    for route, method, path in guarded(service):
        if path.endswith("/live") or method == "HEAD":
            continue  # one answers for ever whom it lets in (tests/e2e/test_page.py watches), one is GET without words
        confirms = route.permission is Permission.VIEW and path.endswith("/orders/pause")  # it is as much as the order
        may = role.permits(Permission.ORDER if confirms else route.permission)
        about = f"{method} {path} as {role}"
        assert refused(service, method, path, everywhere) == (not may), about
        of_all = route.product is None
        here_too = may and (not of_all or route.permission is Permission.VIEW)
        assert refused(service, method, path, here) == (not here_too), f"{about} of shop"
        elsewhere_too = of_all and here_too
        assert refused(service, method, path, elsewhere) == (not elsewhere_too), f"{about} of flights"


def test_what_stands_in_a_path_says_nothing_of_what_somebody_may(service: Service) -> None:
    token: Any = service.token(Role.ADMIN, "shop")
    for product in ("flights", "..%2Fshop", "shop%00", "%2e%2e", "Shop", "shop%20", "*", "%2A"):
        answer = service.ask(f"/seatrial/api/v1/products/{product}", token=token)
        assert answer.status_code in {400, 404}, product
