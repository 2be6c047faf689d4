"""Tokens: made for a program or a person, kept as digests, shown once.

A token is 256 random bits, so a plain SHA-256 of it says nothing of it, and a slow digest would protect nothing more
(it is guessable passwords that need one). It begins with `seatrial_`, by which scanners find one that was committed.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Column, Float, MetaData, Row, String, Table, Text, insert, select, update

from deployments.access_control.principal import ALL, Principal
from deployments.access_control.roles import Role
from deployments.database import Database, beside
from deployments.errors import BadInput, NotFound, SeatrialError

USUAL_LIFE: Final = timedelta(days=90)
# How exact the last use is.
USE_IS_NOTED_EVERY: Final = timedelta(minutes=1)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,39}")
_PRODUCT: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
_SECRET: Final = re.compile(r"seatrial_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

_schema = MetaData()
_tokens = Table(
    "access_tokens",
    _schema,
    Column("id", String(12), primary_key=True),
    Column("name", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("grants", Text, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("made", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("used", Float),
)


@dataclass(frozen=True, slots=True)
class Token:
    """One that was made; its secret is nowhere. Times are UTC; None: it never expires, is not revoked, was not used."""

    id: str
    name: str
    grants: Mapping[str, Role]
    made_by: str
    made: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    used: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it lets anybody in now."""
        return self.revoked is None and (self.expires is None or now < self.expires)

    @property
    def principal(self) -> Principal:
        """Whoever shows it."""
        return Principal(f"{self.name} (token)", self.grants)


class Tokens:
    """The tokens of a platform, in the journal's database or, for SQLite, in a file beside it.

    Every method raises `PlatformUnreachable` where the database does not answer, and `DiskFull` where it cannot write.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(beside(url, "access"), _schema, "the record of tokens")

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    def create(
        self, name: str, grants: Mapping[str, Role], made_by: str, now: datetime, life: timedelta | None = USUAL_LIFE
    ) -> tuple[Token, str]:
        """A new one, and its secret, which is told nowhere else. `life` None: until it is revoked.

        Raises `BadInput` for a name that cannot be used or that a good token has, and for grants of nothing.
        """
        _check(name, grants, life)
        identity, random = secrets.token_hex(6), secrets.token_urlsafe(32)
        secret = f"seatrial_{identity}_{random}"
        token = Token(identity, name, dict(grants), made_by, now, None if life is None else now + life)
        with self._database.transaction() as connection:
            same = map(_token, connection.execute(select(_tokens).where(_tokens.c.name == name)))
            if any(each.is_good(now) for each in same):
                raise BadInput(f"there is a token {name} already: `seatrial token revoke {name}`, or take another name")
            connection.execute(insert(_tokens).values(_row(token) | {"digest": _digest(secret)}))
        return token, secret

    def all(self) -> tuple[Token, ...]:
        """Every token that was ever made, the newest first."""
        with self._database.transaction(writes=False) as connection:
            return tuple(map(_token, connection.execute(select(_tokens).order_by(_tokens.c.made.desc()))))

    def revoke(self, named: str, now: datetime) -> Token:
        """The token of this name or id lets nobody in any more. Raises `NotFound` if no good one is called so."""
        with self._database.transaction() as connection:
            called = (_tokens.c.name == named) | (_tokens.c.id == named)
            good = [
                each for each in map(_token, connection.execute(select(_tokens).where(called))) if each.is_good(now)
            ]
            if not good:
                raise NotFound(f"no token {named} that is good: `seatrial token list` shows them")
            connection.execute(update(_tokens).where(_tokens.c.id == good[0].id).values(revoked=now.timestamp()))
        return replace(good[0], revoked=now)

    def of_secret(self, secret: str, now: datetime) -> Token | None:
        """The good token that somebody shows; None for whatever else he shows. Its use is noted."""
        if (shown := _SECRET.fullmatch(secret)) is None:
            return None
        with self._database.transaction(writes=False) as connection:
            row = connection.execute(select(_tokens).where(_tokens.c.id == shown[1])).one_or_none()
        if row is None or not hmac.compare_digest(row.digest, _digest(secret)):
            return None
        token = _token(row)
        if not token.is_good(now):
            return None
        self._note_use(token, now)
        return token

    def of_id(self, identity: str, now: datetime) -> Token | None:
        """The good token with this id; None if it is good no more, or never was."""
        with self._database.transaction(writes=False) as connection:
            row = connection.execute(select(_tokens).where(_tokens.c.id == identity)).one_or_none()
        token = None if row is None else _token(row)
        return token if token is not None and token.is_good(now) else None

    def _note_use(self, token: Token, now: datetime) -> None:
        """A disk that is full keeps nobody out."""
        if token.used is not None and timedelta(0) <= now - token.used < USE_IS_NOTED_EVERY:
            return
        with suppress(SeatrialError), self._database.transaction() as connection:
            connection.execute(update(_tokens).where(_tokens.c.id == token.id).values(used=now.timestamp()))


def read_grants(role: str, products: tuple[str, ...]) -> dict[str, Role]:
    """`role` for these products, or for all of them. Raises `BadInput` for a role that there is not."""
    try:
        found = Role(role)
    except ValueError:
        raise BadInput(f"no role {role!r}: write {', '.join(Role)}") from None
    return dict.fromkeys(products or (ALL,), found)


def _check(name: str, grants: Mapping[str, Role], life: timedelta | None) -> None:
    if not _NAME.fullmatch(name):
        raise BadInput(f"{name!r} cannot name a token: up to 40 letters, digits, dots, dashes, @ and _")
    if not grants:
        raise BadInput(f"the token {name} would permit nothing")
    for product in grants:
        if product != ALL and not _PRODUCT.fullmatch(product):
            raise BadInput(f"{product!r} is no name of a product: small letters, digits and dashes")
    if life is not None and life <= timedelta(0):
        raise BadInput(f"the token {name} would have expired already: let it live longer")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _row(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "grants": json.dumps(token.grants),
        "made_by": token.made_by,
        "made": token.made.timestamp(),
        "expires": token.expires.timestamp() if token.expires else None,
    }


def _token(row: Row[Any]) -> Token:
    grants = {product: Role(role) for product, role in json.loads(row.grants).items()}
    return Token(
        row.id, row.name, grants, row.made_by, _time(row.made), *map(_maybe, (row.expires, row.revoked, row.used))
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
