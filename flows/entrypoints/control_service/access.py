"""Who may ask what of the control service: each route says so itself, and is asked here before it answers.

A program shows a token (`Authorization: Bearer …`, RFC 6750). A browser shows a session in a cookie, which it sends by
itself, whatever page asks: so a cookie counts only where this server is asked by a name of its own (no DNS rebinding),
by a page of its own, and, for whatever changes something, with the CSRF token of the session.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from deployments.access_control.identities import Identities
from deployments.access_control.principal import Principal
from deployments.access_control.roles import Permission
from deployments.errors import SeatrialError
from deployments.routers.envoy.headers import PEER_HEADER
from deployments.web_login.allowed_hosts import Names
from deployments.web_login.peer_account import account_at
from flows.entrypoints.control_service.forms import BadForm, read_form
from flows.entrypoints.control_service.problems import problem
from flows.entrypoints.program_log import say

LOGIN: Final = "/seatrial/login"
CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf_token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_LONGEST_SECRET: Final = 200
_LOG_IN: Final = "log in by `seatrial open`, or send `Authorization: Bearer TOKEN` (`seatrial token create` makes one)"

Endpoint = Callable[[Request], Response | Awaitable[Response]]


class GuardedRoute(Route):
    """A route that answers those who have `permission` for the product in its path.

    `product` names that part of the path; None: the route concerns no single product. Then whoever may VIEW any product
    is let in to look, and the endpoint shows him what `request.state.principal` may see.
    """

    permission: Permission
    product: str | None


class PublicRoute(Route):
    """A route that answers everybody, or that asks by itself who sends; `why` says which."""

    why: str


def guarded(
    path: str,
    endpoint: Endpoint,
    *,
    methods: Sequence[str] = ("GET",),
    permission: Permission,
    product: str | None,
    refused: Callable[[Request, Response], Response] = lambda _, refusal: refusal,
) -> GuardedRoute:
    """The route; `endpoint` finds who asks in `request.state.principal`. One that is no coroutine runs in a thread.

    `refused` makes of a refusal, which is a problem for programs, what is answered instead of it.
    """

    async def answer(request: Request) -> Response:
        access: Access = request.app.state.access
        refusal = await access.refusal(request, permission, None if product is None else request.path_params[product])
        return refused(request, refusal) if refusal is not None else await _answered(endpoint, request)

    route = GuardedRoute(path, answer, methods=list(methods))
    route.permission, route.product = permission, product
    return route


def public(path: str, endpoint: Endpoint, *, methods: Sequence[str] = ("GET",), why: str) -> PublicRoute:
    """The route."""

    async def answer(request: Request) -> Response:
        return await _answered(endpoint, request)

    route = PublicRoute(path, answer, methods=list(methods))
    route.why = why
    return route


@dataclass(frozen=True, slots=True)
class Access:
    """Asks who somebody is, and whether he may.

    `names` are those by which browsers may ask this server. Unless it is `behind_gateway` of this machine, no account
    is known of whoever asks.
    """

    identities: Identities
    names: Names
    behind_gateway: bool = True

    async def refusal(self, request: Request, permission: Permission, product: str | None) -> Response | None:
        """Why the request is not answered; None: `request.state.principal` may."""
        try:
            principal = await self._principal(request)
        except SeatrialError as error:
            say(f"who asks cannot be told: {error}")
            return problem(503, "who asks cannot be told now: try again later", {"retry-after": "5"})
        if isinstance(principal, Response):
            return principal
        request.state.principal = principal
        if product is None and permission is Permission.VIEW:
            allowed = principal.may_anywhere(permission)
        else:
            allowed = principal.may(permission, product)
        if allowed:
            return None
        if product is not None and not principal.may(Permission.VIEW, product):
            return problem(404, f"there is no product {product} that {principal.who} may see")
        of = "all products" if product is None else product
        return problem(403, f"{principal.who} may not {permission} of {of}: ask an admin for a token with that role")

    async def _principal(self, request: Request) -> Principal | Response:
        shown = request.headers.getlist("authorization")
        if shown:
            return await self._by_token(shown)
        cookie = request.cookies.get(session_cookie(request))
        if cookie is None:
            return _who_are_you("nobody is logged in")
        if (refused := self.refused_page(request)) is not None:
            return refused
        found = await run_in_threadpool(self.identities.of_cookie, cookie, self.account(request))
        if found is None:
            return _who_are_you("this session is over")
        if request.method not in _SAFE and not await self._has_csrf_token(request, cookie):
            return problem(
                403, "the form has no CSRF token of this session: open its page again, and send it from there"
            )
        request.state.csrf_token = self.identities.sessions.csrf_token(cookie)
        return found

    async def _by_token(self, shown: list[str]) -> Principal | Response:
        scheme, _, secret = shown[0].partition(" ")
        if len(shown) > 1 or scheme.lower() != "bearer" or len(secret) > _LONGEST_SECRET or not secret.isascii():
            return _who_are_you("one token is shown, as Bearer")
        found = await run_in_threadpool(self.identities.of_secret, secret.strip())
        return _who_are_you("this token is not good, or not any more") if found is None else found[0]

    def refused_page(self, request: Request) -> Response | None:
        """Why nothing is for the page that asks, whoever sits before it."""
        headers = request.headers
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self.names.has(hosts[0]):
            return problem(403, f"browsers ask this server as {self.names} (SEATRIAL_GATEWAY_NAMES adds names)")
        if any(not _is_ours(origin, hosts[0]) for origin in headers.getlist("origin")):
            return problem(403, "another page asks: only pages of this server may")
        site = headers.get("sec-fetch-site", "none")
        if site not in {"same-origin", "none"} and not _is_followed_link(request):
            return problem(403, "another page asks: only pages of this server may")
        if request.method not in _SAFE and not says_ours(headers):
            return problem(403, "only a page of this server may change anything in a session")
        return None

    def account(self, request: Request) -> int | None:
        """The account of this machine that asks, where the gateway of this machine says by which connection."""
        client, _, server = request.headers.get(PEER_HEADER, "").partition(" ")
        if not self.behind_gateway or not server:
            return None
        return account_at(_address(client), _address(server))

    async def _has_csrf_token(self, request: Request, cookie: str) -> bool:
        shown = request.headers.get(CSRF_HEADER)
        if shown is None:
            with suppress(BadForm):
                shown = (await read_form(request)).get(CSRF_FIELD)
        return shown is not None and self.identities.sessions.is_csrf_token(shown, cookie)


def is_secure(request: Request) -> bool:
    """Whether the browser came by TLS, as the gateway says."""
    return request.headers.get("x-forwarded-proto", request.url.scheme) == "https"


def session_cookie(request: Request) -> str:
    """Its name; browsers keep the cookies of all ports of a host together."""
    _, colon, port = request.headers.get("host", "").rpartition(":")
    named = f"seatrial-session-{port}" if colon and port.isdecimal() else "seatrial-session"
    return f"__Host-{named}" if is_secure(request) else named


def says_ours(headers: Headers) -> bool:
    """Whether the browser says that a page of this server asks. That nothing was said against it is known already."""
    return "origin" in headers or headers.get("sec-fetch-site") == "same-origin"


def _is_ours(origin: str, host: str) -> bool:
    return origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}


def _is_followed_link(request: Request) -> bool:
    headers = request.headers
    top = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return top and request.method == "GET"


def _who_are_you(why: str) -> Response:
    return problem(401, f"{why}: {_LOG_IN}", {"www-authenticate": 'Bearer realm="Seatrial"'})


def _address(text: str) -> tuple[str, int] | None:
    host, _, port = text.rpartition(":")
    return (host, int(port)) if port.isdecimal() else None


async def _answered(endpoint: Endpoint, request: Request) -> Response:
    answered: Any = (
        endpoint(request) if inspect.iscoroutinefunction(endpoint) else await run_in_threadpool(endpoint, request)
    )
    response: Response = await answered if inspect.isawaitable(answered) else answered
    return response
