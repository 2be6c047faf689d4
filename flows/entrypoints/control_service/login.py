"""`/seatrial/login`: a browser shows a token, or a ticket that `seatrial open` drew, and gets a session for it."""

import html
import secrets
from collections.abc import Mapping
from string import Template
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from deployments.access_control.principal import Principal
from deployments.access_control.sessions import SESSION_LASTS, Session
from deployments.errors import SeatrialError
from flows.entrypoints.control_service.access import LOGIN, Access, is_secure, public, session_cookie
from flows.entrypoints.control_service.forms import BadForm, read_form
from flows.entrypoints.control_service.problems import problem
from flows.entrypoints.program_log import say

HOME: Final = "/seatrial/"
LOGOUT: Final = "/seatrial/logout"
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


def routes(access: Access) -> list[BaseRoute]:
    """The login page, where it is sent to, and the end of a session."""
    login = _Login(access)
    return [
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


class _Login:
    def __init__(self, access: Access) -> None:
        self._access = access

    def page(self, request: Request) -> Response:
        return self._access.refused_page(request) or login_page()

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
            return login_page("Who you are cannot be told now: try again later.", 503)
        if found is None:
            return login_page("This token is not good, or not any more.", 401)
        return self.begin(request, found[1])

    def begin(self, request: Request, session: Session) -> Response:
        """The page, with a session for the account of this machine that the browser belongs to."""
        identities = self._access.identities
        bound = Session(session.by, self._access.account(request), session.token, session.who, session.grants)
        answer = RedirectResponse(HOME, 303, headers={"cache-control": "no-store"})
        answer.set_cookie(
            session_cookie(request),
            identities.sessions.begin(bound, identities.clock.now()),
            max_age=round(SESSION_LASTS.total_seconds()),
            path="/",
            secure=is_secure(request),
            httponly=True,
            samesite="strict",
        )
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
