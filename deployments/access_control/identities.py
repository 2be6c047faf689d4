"""From what somebody shows to who he is: the key of this platform, a token, or a browser's session."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deployments.access_control.principal import Principal, of_this_account
from deployments.access_control.sessions import Session, Sessions
from deployments.access_control.tokens import Tokens
from deployments.clock import Clock
from deployments.errors import NotFound
from deployments.key_files import key, known_key
from deployments.web_login.password import is_same
from deployments.web_login.sessions import Passes

# The file of the token that the first `up` makes, for this account alone.
_OF_MACHINE: Final = "control"
_SESSIONS: Final = "sessions"
# Part of the platform whose tickets `seatrial open` draws.
PAGE: Final = "seatrial"
_PAGES: Final = "pages"


def machine_token(keys: Path) -> str:
    """The token of the platform's own account; drawn if there is none. Raises as `deployments.key_files.key`."""
    return key(keys, _OF_MACHINE).decode()


@dataclass(slots=True)
class Identities:
    """Of a platform whose secrets lie in `keys`. The record of tokens is opened when the first one is shown.

    What asks the record raises `PlatformUnreachable` where its database does not answer; the platform's own account is
    known without it.
    """

    keys: Path
    open_tokens: Callable[[], Tokens]
    clock: Clock
    _tokens: Tokens | None = None
    _sessions: Sessions | None = None
    _passes: Passes | None = None
    _opening: threading.Lock = field(default_factory=threading.Lock)

    @property
    def tokens(self) -> Tokens:
        """The record of tokens."""
        with self._opening:
            self._tokens = self._tokens or self.open_tokens()
            return self._tokens

    @property
    def sessions(self) -> Sessions:
        """Under a key of the platform, so that they last when the service starts again."""
        self._sessions = self._sessions or Sessions(key(self.keys, _SESSIONS))
        return self._sessions

    def of_secret(self, secret: str) -> tuple[Principal, Session] | None:
        """Who shows it, and the session that he may begin; None for a secret that is not good."""
        if self._is_machines(secret):
            return of_this_account("API"), Session("machine", None)
        token = self.tokens.of_secret(secret, self.clock.now())
        return None if token is None else (token.principal, Session("token", None, token.id))

    def of_ticket(self, ticket: str) -> tuple[Principal, Session] | None:
        """Who opens a page by a ticket that `seatrial open` drew; it is good once."""
        self._passes = self._passes or Passes(key(self.keys, _PAGES), PAGE)
        good = self._passes.redeem(ticket, self.clock.now())
        return (of_this_account("page"), Session("machine", None)) if good else None

    def of_cookie(self, cookie: str, account: int | None) -> Principal | None:
        """Who logged in, from `account` of this machine; None for a session that is over, or whose token is."""
        session = self.sessions.read(cookie, self.clock.now(), account)
        match session:
            case None:
                return None
            case Session(by="machine"):
                return of_this_account("page")
            case Session(by="token"):
                token = self.tokens.of_id(session.token, self.clock.now())
                return None if token is None else token.principal
            case _:
                return Principal(session.who, session.grants)

    def _is_machines(self, secret: str) -> bool:
        try:
            return is_same(secret, known_key(self.keys, _OF_MACHINE).decode())
        except NotFound:
            return False
