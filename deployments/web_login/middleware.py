"""The door itself: an ASGI application around another one, which hears only from those whom it let in.

Asked for in this order: by which name (`Host`), from which page (`Origin`, `Sec-Fetch-Site`), by whom (a session's
cookie, or the password as Basic or Bearer). A browser sends cookies by itself, so a cookie counts only where the
browser says that a page of ours asks. What the application inside is shown is the password, whatever was shown here.
"""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.clock import Clock, SystemClock
from deployments.web_login.allowed_hosts import Names
from deployments.web_login.login_page import login_page
from deployments.web_login.password import basic_header, credentials, is_same
from deployments.web_login.peer_account import account_at
from deployments.web_login.sessions import SESSION_LASTS, Passes
from deployments.web_login.websocket_auth import Strangers

LOGIN = "/seatrial/login"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_LONGEST_LOGIN = 4096
_SLOWEST_LOGIN_SECONDS = 10.0
_OUR_HEADERS = {
    "x-frame-options": "SAMEORIGIN",
    "content-security-policy": "frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass(slots=True)
class Door:
    """Before `inside`, which is `part` of the platform.

    `open_paths` are answered to everybody who asks with GET: probes ask by the address of a pod. `asks_sockets`:
    whether `inside` itself demands the password of those who open a WebSocket; else none is opened.
    """

    inside: ASGIApp
    passes: Passes
    password: str = field(repr=False)
    names: Names
    open_paths: frozenset[str]
    asks_sockets: bool = False
    clock: Clock = field(default_factory=SystemClock)
    _strangers: Strangers = field(init=False)

    def __post_init__(self) -> None:
        self._strangers = Strangers(self.inside, credentials(self.password))

    @property
    def part(self) -> str:
        """`prefect` or `mlflow`."""
        return self.passes.part

    @property
    def cookie(self) -> str:
        """Its name; browsers keep cookies of all ports of a host together."""
        return f"seatrial-{self.part}" if self.names.port is None else f"seatrial-{self.part}-{self.names.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            await self._answer(scope, receive, _with_our_headers(send))
        elif scope["type"] == "websocket":
            await self._open_socket(scope, receive, send)
        else:
            await self.inside(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method in {"GET", "HEAD"} and scope["path"] in self.open_paths:
            await self.inside(_without(scope, b"origin", b"cookie"), receive, send)
            return
        answer = self._refused(request)
        if answer is None and scope["path"] == LOGIN:
            answer = await self._log_in(request)
        if answer is None and not self._may(request):
            answer = self._asked_who(request)
        if answer is not None:
            await answer(scope, receive, send)
            return
        await self.inside(self._shown_password(scope), receive, send)

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origins = headers.getlist("origin")
        theirs = any(not _is_ours(origin, headers) for origin in origins)
        if self.asks_sockets and self._is_named(headers) and not theirs:
            await self._strangers.open(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.close", "code": 1008})

    def _refused(self, request: Request) -> Response | None:
        """Why nothing of this server is for the page that asks, whoever sits before it."""
        headers = request.headers
        if not self._is_named(headers):
            return _told(403, f"this server is asked as {self.names}, and by no other name")
        if any(not _is_ours(origin, headers) for origin in headers.getlist("origin")):
            return _told(403, "another page asks: only pages of this server may")
        site = headers.get("sec-fetch-site", "none")
        if site not in {"same-origin", "none"} and not _is_followed_link(request):
            return _told(403, "another page asks: only pages of this server may")
        return None

    def _is_named(self, headers: Headers) -> bool:
        hosts = headers.getlist("host")
        return len(hosts) == 1 and self.names.has(hosts[0])

    def _may(self, request: Request) -> bool:
        if any(self._is_password(shown) for shown in request.headers.getlist("authorization")):
            return True
        if request.method not in _SAFE and not _says_ours(request.headers):
            return False
        session = _cookies(request.headers.getlist("cookie")).get(self.cookie)
        return session is not None and self.passes.is_session(session, self.clock.now(), _account(request))

    def _is_password(self, shown: str) -> bool:
        wanted = (basic_header(self.password), f"Bearer {self.password}")
        return any(is_same(shown, each) for each in wanted)

    def _asked_who(self, request: Request) -> Response:
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(login_page(self.part), 401, headers={"cache-control": "no-store"})
        # A browser would show a window of its own, whose password it then sends by itself.
        ask = {} if "sec-fetch-mode" in request.headers else {"www-authenticate": 'Basic realm="Seatrial"'}
        return _told(401, f"log in: `seatrial open {self.part}`, or user and password (docs/security.md)", ask)

    async def _log_in(self, request: Request) -> Response:
        """The page that asks, or the session of whoever shows a ticket or the password."""
        if request.method == "GET":
            return HTMLResponse(login_page(self.part), headers={"cache-control": "no-store"})
        if request.method != "POST" or not _says_ours(request.headers):
            return _told(403, "only the page of this address logs in")
        try:
            async with asyncio.timeout(_SLOWEST_LOGIN_SECONDS):
                shown = await _shown(request)
        except TimeoutError:
            return _told(408, "the login has no end", {"connection": "close"})
        except ClientDisconnect:
            return _told(400, "the login has no end", {"connection": "close"})
        password, ticket = shown.get("password"), shown.get("ticket")
        known = isinstance(password, str) and is_same(password, self.password)
        if not known and not (isinstance(ticket, str) and self.passes.redeem(ticket, self.clock.now())):
            return _told(401, f"not good, or not good any more: `seatrial open {self.part}` draws a new ticket")
        answer = Response(status_code=204)
        answer.set_cookie(
            self.cookie,
            self.passes.session(self.clock.now(), _account(request)),
            max_age=round(SESSION_LASTS.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
        )
        return answer

    def _shown_password(self, scope: Scope) -> Scope:
        """The request as `inside` is to see it: which page asks has been asked here, by names that it does not know."""
        shown = _without(scope, b"authorization", b"origin")
        return {**shown, "headers": [*shown["headers"], (b"authorization", basic_header(self.password).encode())]}


def _account(request: Request) -> int | None:
    return account_at(request.scope.get("client"), request.scope.get("server"))


def _without(scope: Scope, *names: bytes) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name not in names]}


def _is_ours(origin: str, headers: Headers) -> bool:
    host = headers.get("host", "").lower()
    return origin.lower() in {f"http://{host}", f"https://{host}"}


def _is_followed_link(request: Request) -> bool:
    """Somebody followed a link on another page: nothing of ours can be read there, and no cookie came with it."""
    headers = request.headers
    top = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return top and request.method == "GET"


def _says_ours(headers: Headers) -> bool:
    """Whether the browser says that a page of this server asks. That nothing was said against it is known already."""
    return "origin" in headers or headers.get("sec-fetch-site") == "same-origin"


def _cookies(headers: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for header in headers:
        try:
            found |= {name: morsel.value for name, morsel in SimpleCookie(header).items()}
        except CookieError:
            continue
    return found


async def _shown(request: Request) -> dict[str, object]:
    """A small JSON object; empty if it is anything else."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_LOGIN:
            return {}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _told(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """In the words of both APIs."""
    code = "UNAUTHENTICATED" if status == 401 else "PERMISSION_DENIED"
    return JSONResponse({"error_code": code, "message": message, "detail": message}, status, headers=headers)


def _with_our_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            for name, value in _OUR_HEADERS.items():
                if name not in headers:
                    headers[name] = value
            message = {**message, "headers": headers.raw}
        await send(message)

    return sent
