"""The control service's ASGI application: the routes of its rooms, and who is alive."""

from collections.abc import Iterable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route


def make_app(routes: Iterable[BaseRoute]) -> Starlette:
    """An application of these routes, and of `/health`, which answers everybody."""
    app = Starlette(routes=[*routes, Route("/health", _health)])
    app.router.redirect_slashes = False  # a redirect would name whatever host the client has named
    return app


async def _health(_: Request) -> Response:
    return Response(b'{"ready":true}', media_type="application/json")
