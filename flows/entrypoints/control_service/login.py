"""`/seatrial/login`: a browser shows a token, or a ticket that `seatrial open` drew, and gets a session for it."""

import html
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import timedelta
from string import Template
from typing import TYPE_CHECKING, Final, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from deployments.access_control.attempts import Attempt
from deployments.access_control.principal import Principal
from deployments.access_control.sessions import SESSION_LASTS, Session
from deployments.errors import PlatformUnreachable, Refused, SeatrialError
from flows.entrypoints.control_service.access import LOGIN, Access, is_secure, public, session_cookie
from flows.entrypoints.control_service.forms import BadForm, read_form
from flows.entrypoints.control_service.problems import problem
from flows.entrypoints.program_log import say

if TYPE_CHECKING:
    from deployments.access_control.openid import OpenId

HOME: Final = "/seatrial/"
LOGOUT: Final = "/seatrial/logout"
PROVIDER: Final = f"{LOGIN}/provider"
CALLBACK: Final = f"{LOGIN}/callback"
_KIND: Final = "attempt"
_ATTEMPT_LASTS: Final = timedelta(minutes=10)
# The ticket is behind a #, which browsers keep to themselves: it is in no log and no Referer.
_PAGE: Final = Template(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seatrial – log in</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style nonce="$nonce">
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem;
  color-scheme: light dark }
code { padding: .1rem .3rem; white-space: nowrap; border: 1px solid #8888; border-radius: .2rem }
input, button { font: inherit; padding: .3rem .6rem }
#said { min-height: 1.5rem; font-weight: 600 }
</style></head><body><main>
<h1>Seatrial</h1>
<p>This command opens the page logged in: <code>seatrial open</code></p>
<form id="form" method="post" action="$login">
<p><label for="token">Or a token:</label>
<input id="token" name="token" type="password" autocomplete="off" required>
<button>Log in</button></p></form>$further
<p id="said" role="status">$said</p>
</main><script nonce="$nonce">
const ticket = new URLSearchParams(location.hash.slice(1)).get("ticket");
if (ticket) {
  history.replaceState(null, "", location.pathname);
  fetch("$login", {method: "POST", body: new URLSearchParams({ticket})}).then(async answer => {
    if (answer.ok) location.replace("$home");
    else document.getElementById("said").textContent =
      "This ticket is not good any more: seatrial open draws a new one.";
  });
}
</script></body></html>
"""
)


def routes(access: Access, open_id: "Callable[[], OpenId] | None" = None) -> list[BaseRoute]:
    """The login page, where it is sent to, and the end of a session. `open_id` None: there is no provider."""
    login = _Login(access, open_id)
    provider = [
        public(PROVIDER, login.ask_provider, why="it leads to the provider by which people log in"),
        public(CALLBACK, login.come_back, why="it asks the provider who came back"),
    ]
    return [
        *(provider if open_id is not None else ()),
        public(LOGIN, login.page, why="whoever is not logged in sees it"),
        public(LOGIN, login.log_in, methods=["POST"], why="it asks for a token or a ticket"),
        public(LOGOUT, login.log_out, methods=["POST"], why="it ends the session of the browser that asks"),
    ]


def login_page(said: str = "", status: int = 200, further: str = "") -> Response:
    """The page itself. `said` is a sentence for people, `further` HTML of other ways to log in."""
    nonce = secrets.token_urlsafe(16)
    content = _PAGE.substitute(nonce=nonce, login=LOGIN, home=HOME, said=html.escape(said), further=further)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {
        "cache-control": "no-store",
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
    }
    return HTMLResponse(content, status, headers=headers)


def _callback(request: Request) -> str:
    return f"{'https' if is_secure(request) else 'http'}://{request.headers['host']}{CALLBACK}"


def _attempt_cookie(request: Request) -> str:
    return f"{session_cookie(request)}-attempt"


def _going_on() -> Response:
    """A page that leads on by itself: a redirect would still be the provider's, and show no Strict cookie."""
    nonce = secrets.token_urlsafe(16)
    content = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Seatrial</title><p><a href="{HOME}">Go on</a></p>'
        f'<script nonce="{nonce}">location.replace("{HOME}")</script></html>'
    )
    policy = f"default-src 'none'; script-src 'nonce-{nonce}'; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse(content, headers={"cache-control": "no-store", "content-security-policy": policy})


class _Login:
    def __init__(self, access: Access, open_id: "Callable[[], OpenId] | None") -> None:
        self._access, self._open_id = access, open_id

    def page(self, request: Request) -> Response:
        return self._access.refused_page(request) or self._page()

    def _page(self, said: str = "", status: int = 200) -> Response:
        further = f'<p><a href="{PROVIDER}">Log in with your organization</a></p>' if self._open_id is not None else ""
        return login_page(said, status, further)

    def ask_provider(self, request: Request) -> Response:
        """Leads to the provider; what is drawn for this login stays in the browser that began it."""
        if (refused := self._access.refused_page(request)) is not None:
            return refused
        identities, attempt = self._access.identities, Attempt.drawn()
        now = identities.clock.now()
        try:
            address = self._provider().address(attempt, _callback(request), now)
        except SeatrialError as error:
            return self._failed(error)
        answer = RedirectResponse(address, 303, headers={"cache-control": "no-store"})
        kept = identities.sessions.seal(_KIND, asdict(attempt), now + _ATTEMPT_LASTS)
        # The way back is a link on the provider's page, with which a browser sends no Strict cookie.
        self._set(answer, request, _attempt_cookie(request), kept, _ATTEMPT_LASTS, "lax")
        return answer

    def come_back(self, request: Request) -> Response:
        """From the provider: who it is, and the session."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not self._access.names.has(hosts[0]):
            return problem(403, f"browsers ask this server as {self._access.names}")
        identities = self._access.identities
        now, query = identities.clock.now(), request.query_params
        kept = identities.sessions.unseal(_KIND, request.cookies.get(_attempt_cookie(request), ""), now)
        attempt = None if kept is None else Attempt(kept["state"], kept["nonce"], kept["verifier"])
        if attempt is None or not secrets.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            return self._page("This login was not begun here, or took too long: begin it again.", 400)
        if "code" not in query:
            return self._page("The provider let nobody in.", 403)
        try:
            found = self._provider().principal(attempt, query["code"], _callback(request), now)
        except SeatrialError as error:
            return self._failed(error)
        answer = _going_on()
        session = Session("oidc", self._access.account(request), who=found.who, grants=found.grants)
        self._set(
            answer, request, session_cookie(request), identities.sessions.begin(session, now), SESSION_LASTS, "strict"
        )
        answer.delete_cookie(_attempt_cookie(request), path="/")
        return answer

    def _provider(self) -> "OpenId":
        if self._open_id is None:
            raise PlatformUnreachable("people log in by no provider here")
        return self._open_id()

    def _failed(self, error: SeatrialError) -> Response:
        say(f"nobody is logged in: {error}")
        return self._page(f"{error}.", 403 if isinstance(error, Refused) else 503)

    def _set(
        self,
        answer: Response,
        request: Request,
        name: str,
        value: str,
        lasts: timedelta,
        same_site: Literal["lax", "strict"],
    ) -> None:
        answer.set_cookie(
            name,
            value,
            max_age=round(lasts.total_seconds()),
            path="/",
            secure=is_secure(request),
            httponly=True,
            samesite=same_site,
        )

    async def log_in(self, request: Request) -> Response:
        if (refused := self._access.refused_page(request)) is not None:
            return refused
        try:
            shown = await read_form(request)
        except BadForm as error:
            return problem(400, f"{error}: open the login page again", {"connection": "close"})
        try:
            found = await run_in_threadpool(self._known, shown)
        except SeatrialError as error:
            say(f"who logs in cannot be told: {error}")
            return self._page("Who you are cannot be told now: try again later.", 503)
        if found is None:
            return self._page("This token is not good, or not any more.", 401)
        return self.begin(request, found[1])

    def begin(self, request: Request, session: Session) -> Response:
        """The page, with a session for the account of this machine that the browser belongs to."""
        identities = self._access.identities
        bound = Session(session.by, self._access.account(request), session.token, session.who, session.grants)
        answer = RedirectResponse(HOME, 303, headers={"cache-control": "no-store"})
        cookie = identities.sessions.begin(bound, identities.clock.now())
        self._set(answer, request, session_cookie(request), cookie, SESSION_LASTS, "strict")
        return answer

    def log_out(self, request: Request) -> Response:
        if (refused := self._access.refused_page(request)) is not None:
            return refused
        answer = RedirectResponse(LOGIN, 303, headers={"cache-control": "no-store"})
        name = session_cookie(request)
        answer.delete_cookie(name, path="/", secure=is_secure(request), httponly=True, samesite="strict")
        return answer

    def _known(self, shown: Mapping[str, str]) -> tuple[Principal, Session] | None:
        if ticket := shown.get("ticket"):
            return self._access.identities.of_ticket(ticket)
        return self._access.identities.of_secret(shown.get("token", "").strip())
