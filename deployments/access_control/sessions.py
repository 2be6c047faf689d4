"""Sessions of browsers: who logged in, signed, in a cookie; no server keeps a list of them.

A session that a token began names the token, which is looked up with each request: it ends when the token does.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from deployments.access_control.roles import Role

SESSION_LASTS: Final = timedelta(hours=12)
_LONGEST: Final = 3000


@dataclass(frozen=True, slots=True)
class Session:
    """`by` is how somebody logged in: `machine` (a ticket of this platform's account), `token` or `oidc`.

    `token` is the token's id. `who` and `grants` are what an OpenID provider vouched for. `account` is the account of
    this machine that the browser belongs to, for browsers send cookies to every port of a host; None for one that comes
    from elsewhere.
    """

    by: str
    account: int | None
    token: str = ""
    who: str = ""
    grants: Mapping[str, Role] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sessions:
    """Signed with HMAC-SHA256 under `key`."""

    key: bytes = field(repr=False)

    def begin(self, session: Session, now: datetime, lasts: timedelta = SESSION_LASTS) -> str:
        """What the cookie holds."""
        document = {
            "by": session.by,
            "account": session.account,
            "token": session.token,
            "who": session.who,
            "grants": dict(session.grants),
            "nonce": secrets.token_urlsafe(12),
        }
        return self.seal("session", document, now + lasts)

    def read(self, cookie: str, now: datetime, account: int | None) -> Session | None:
        """The session of a cookie that `account` shows; None if it is not ours, is over, or is somebody else's."""
        document = self.unseal("session", cookie, now)
        if document is None or document["account"] != account:
            return None
        grants = {product: Role(role) for product, role in document["grants"].items()}
        return Session(document["by"], document["account"], document["token"], document["who"], grants)

    def seal(self, kind: str, document: Mapping[str, Any], end: datetime) -> str:
        """A document that a browser keeps for us until `end`, signed; it is no secret from its keeper."""
        content = json.dumps({**document, "end": round(end.timestamp())}).encode()
        payload = base64.urlsafe_b64encode(content).decode().rstrip("=")
        return f"{payload}.{self._digest(kind, payload)}"

    def unseal(self, kind: str, sealed: str, now: datetime) -> dict[str, Any] | None:
        """The document; None for one that is not ours, of another kind, or over."""
        payload, _, digest = sealed.partition(".")
        if len(sealed) > _LONGEST or not sealed.isascii():
            return None
        if not hmac.compare_digest(digest, self._digest(kind, payload)):
            return None
        document: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return None if now.timestamp() > document["end"] else document

    def csrf_token(self, cookie: str) -> str:
        """What a form of this session's pages carries, and no other page knows (OWASP: HMAC-based token pattern)."""
        return self._digest("csrf", cookie)

    def is_csrf_token(self, shown: str, cookie: str) -> bool:
        """Compared in a time that tells nothing."""
        return hmac.compare_digest(shown.encode(errors="replace"), self.csrf_token(cookie).encode())

    def _digest(self, kind: str, payload: str) -> str:
        return hmac.new(self.key, f"control {kind} {payload}".encode(), hashlib.sha256).hexdigest()
