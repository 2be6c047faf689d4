"""The control service's ASGI application: the routes of its rooms, and who is alive."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from flows.entrypoints.control_service.access import Access, GuardedRoute, PublicRoute, public


def make_app(routes: Iterable[BaseRoute], access: Access | None = None) -> Starlette:
    """An application of these routes, and of `/health`, which answers everybody.

    `access` is who asks callers of guarded routes for what they may; without it there may be none. Raises `TypeError`
    for a route that does not say who may ask it.
    """
    known = [*routes, public("/health", _health, why="probes: it says nothing of anybody")]
    for route in known:
        if not isinstance(route, PublicRoute) and not (isinstance(route, GuardedRoute) and access is not None):
            raise TypeError(f"{route} is neither guarded() nor public(), so nobody knows who may ask it")
    app = Starlette(routes=known)
    app.router.redirect_slashes = False  # a redirect would name whatever host the client has named
    app.state.access = access
    return app


def _health(_: Request) -> Response:
    return Response(b'{"ready":true}', media_type="application/json")
