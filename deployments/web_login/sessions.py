"""What a browser shows instead of the password: a ticket that is good once, for which it gets a session.

Both are an end of validity and a digest of it under the key of the pages (HMAC-SHA256), so that no server keeps lists
of who may come in, and several of them agree. Each is good for one part only: a ticket of MLflow opens no Prefect. A
session is good for one account of this machine only: browsers send it to every port of a host, somebody else's, too.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

TICKET_LASTS = timedelta(minutes=1)
SESSION_LASTS = timedelta(hours=12)
_LONGEST = 200


@dataclass(slots=True)
class Passes:
    """Tickets and sessions of `part`, under `key`."""

    key: bytes = field(repr=False)
    part: str
    _used: dict[str, int] = field(default_factory=dict)

    def ticket(self, now: datetime) -> str:
        """A new one, good for a minute."""
        return self._made("ticket", now, TICKET_LASTS)

    def session(self, now: datetime, account: int | None) -> str:
        """A new one, good for twelve hours for this account; None: for whoever comes from elsewhere."""
        return self._made(f"session of {account}", now, SESSION_LASTS)

    def redeem(self, ticket: str, now: datetime) -> bool:
        """Whether the ticket is good. It is not a second time."""
        if not self._is_good("ticket", ticket, now) or ticket in self._used:
            return False
        present = round(now.timestamp())
        self._used = {each: end for each, end in self._used.items() if end > present}
        self._used[ticket] = present + round(TICKET_LASTS.total_seconds())
        return True

    def is_session(self, session: str, now: datetime, account: int | None) -> bool:
        """Whether it is one of ours, not over, and shown by the account that it was given to."""
        return self._is_good(f"session of {account}", session, now)

    def _made(self, kind: str, now: datetime, lasts: timedelta) -> str:
        end = round((now + lasts).timestamp())
        nonce = secrets.token_urlsafe(16)
        return f"{end}.{nonce}.{self._digest(kind, end, nonce)}"

    def _is_good(self, kind: str, shown: str, now: datetime) -> bool:
        parts = shown.split(".")
        if len(shown) > _LONGEST or not shown.isascii() or len(parts) != 3 or not parts[0].isdecimal():
            return False
        end, nonce, digest = int(parts[0]), parts[1], parts[2]
        ours = hmac.compare_digest(digest, self._digest(kind, end, nonce))
        return ours and now.timestamp() <= end

    def _digest(self, kind: str, end: int, nonce: str) -> str:
        told = f"{self.part} {kind} {end} {nonce}".encode()
        return hmac.new(self.key, told, hashlib.sha256).hexdigest()
