"""Tokens are shown once, and good for so long and for such products as they were made for."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.access_control.roles import Role
from deployments.access_control.tokens import Tokens, read_grants
from deployments.database import Database
from deployments.errors import BadInput, DiskFull, NotFound

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[Tokens]:
    with closing(Tokens(f"sqlite:///{tmp_path / 'journal.db'}")) as record:
        yield record


def made(tokens: Tokens, name: str = "bot", life: timedelta | None = DAY) -> str:
    return tokens.create(name, {"shop": Role.OPERATOR}, "ann", NOW, life)[1]


def test_whoever_shows_the_secret_is_known_by_its_name_and_grants(tokens: Tokens) -> None:
    found = tokens.of_secret(made(tokens), NOW)
    assert found is not None
    assert found.principal.who == "bot (token)"
    assert found.principal.grants == {"shop": Role.OPERATOR}


def test_the_secret_is_nowhere_in_the_record(tokens: Tokens, tmp_path: Path) -> None:
    secret = made(tokens)
    assert len(secret) == len("seatrial_") + 13 + 43
    kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    assert secret.encode() not in kept
    assert secret[len("seatrial_") + 13 :].encode() not in kept


@pytest.mark.parametrize("moment", [NOW + DAY, NOW + 2 * DAY])
def test_an_expired_token_is_good_no_more(tokens: Tokens, moment: datetime) -> None:
    secret = made(tokens)
    assert tokens.of_secret(secret, moment - DAY) is not None or moment != NOW + DAY
    assert tokens.of_secret(secret, moment) is None


def test_one_that_never_expires_is_good_until_it_is_revoked(tokens: Tokens) -> None:
    secret = made(tokens, life=None)
    assert tokens.of_secret(secret, NOW + 10_000 * DAY) is not None
    gone = tokens.revoke("bot", NOW)
    assert tokens.of_secret(secret, NOW) is None
    assert tokens.of_id(gone.id, NOW) is None
    with pytest.raises(NotFound, match="seatrial token list"):
        tokens.revoke("bot", NOW)
    assert tokens.of_secret(made(tokens), NOW) is not None  # the name is free again


def test_a_name_is_that_of_one_good_token(tokens: Tokens) -> None:
    made(tokens)
    with pytest.raises(BadInput, match="token revoke bot"):
        made(tokens)


@pytest.mark.parametrize(
    "change", [str.upper, lambda s: s[:-1] + ("a" if s[-1] != "a" else "b"), lambda s: s + "a", lambda s: s[:-1]]
)
def test_a_secret_that_differs_in_one_sign_is_not_good(tokens: Tokens, change: object) -> None:
    assert callable(change)
    assert tokens.of_secret(change(made(tokens)), NOW) is None


@pytest.mark.parametrize(
    "shown", ["", "seatrial_", "' OR 1=1 --", "a" * 100_000, "seatrial_" + "0" * 12 + "_" + "a" * 43, "ünï"]
)
def test_garbage_is_nobodys(tokens: Tokens, shown: str) -> None:
    assert tokens.of_secret(shown, NOW) is None


def test_the_last_use_is_noted_at_most_once_a_minute(tokens: Tokens) -> None:
    secret = made(tokens)
    tokens.of_secret(secret, NOW)
    tokens.of_secret(secret, NOW + timedelta(seconds=59))
    assert tokens.all()[0].used == NOW
    tokens.of_secret(secret, NOW + timedelta(seconds=61))
    assert tokens.all()[0].used == NOW + timedelta(seconds=61)


def test_a_token_lets_somebody_in_though_its_use_cannot_be_noted(
    tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, whole = made(tokens), Database.transaction

    def only_reads(database: Database, writes: bool = True) -> Any:
        if writes:
            raise DiskFull("no space left")
        return whole(database, writes)

    monkeypatch.setattr(Database, "transaction", only_reads)
    assert tokens.of_secret(secret, NOW) is not None
    assert tokens.all()[0].used is None


@pytest.mark.parametrize(
    ("name", "grants", "life"),
    [
        ("", {"*": Role.VIEWER}, DAY),
        ("a\r\nb", {"*": Role.VIEWER}, DAY),
        ("<b>", {"*": Role.VIEWER}, DAY),
        ("bot", {}, DAY),
        ("bot", {"../shop": Role.VIEWER}, DAY),
        ("bot", {"*": Role.VIEWER}, timedelta(0)),
    ],
)
def test_what_cannot_be_a_token_is_refused(tokens: Tokens, name: str, grants: dict[str, Role], life: timedelta) -> None:
    with pytest.raises(BadInput):
        tokens.create(name, grants, "ann", NOW, life)
    assert tokens.all() == ()


def test_a_role_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match="viewer, operator, approver, admin"):
        read_grants("root", ())
    assert read_grants("viewer", ()) == {"*": Role.VIEWER}
    assert read_grants("admin", ("a", "b")) == {"a": Role.ADMIN, "b": Role.ADMIN}
