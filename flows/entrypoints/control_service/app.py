"""The control service's ASGI application: the routes of its rooms, and who is alive."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from flows.entrypoints.control_service.access import Access, GuardedRoute, PublicRoute, public
from flows.entrypoints.control_service.problems import problem


def make_app(routes: Iterable[BaseRoute], access: Access | None = None) -> Starlette:
    """An application of these routes, and of `/health`, which answers everybody.

    `access` is who asks callers of guarded routes for what they may; without it there may be none. Raises `TypeError`
    for a route that does not say who may ask it.
    """
    known = [*routes, public("/health", _health, why="probes: it says nothing of anybody")]
    for route in known:
        if not isinstance(route, PublicRoute) and not (isinstance(route, GuardedRoute) and access is not None):
            raise TypeError(f"{route} is neither guarded() nor public(), so nobody knows who may ask it")
    app = Starlette(routes=known, exception_handlers={HTTPException: _not_served, Exception: _defect})
    app.router.redirect_slashes = False  # a redirect would name whatever host the client has named
    app.state.access = access
    return app


def _health(_: Request) -> Response:
    return Response(b'{"ready":true}', media_type="application/json")


def _not_served(request: Request, error: Exception) -> Response:
    """Nothing stands at this path, or nothing that answers this method."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    if status != 405:
        return problem(status, "nothing stands at this path: `/seatrial/api/v1/` describes what there is")
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {method for route in routes if isinstance(route, Route) for method in route.methods or ()}
    allowed = ", ".join(sorted(methods))
    return problem(405, f"this path is not for {request.method} but for {allowed}", {"allow": allowed})


def _defect(_: Request, __: Exception) -> Response:
    """What was not foreseen: the log has it, and whoever asked learns no more than that."""
    return problem(500, "this is a defect of Seatrial, and the control service's log says where: please report it")
