"""A session is good for its browser's account, for its time, and unchanged."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from deployments.access_control.roles import Role
from deployments.access_control.sessions import SESSION_LASTS, Session, Sessions

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
OURS = Sessions(b"key")
ANN = Session("oidc", 1000, who="ann", grants={"shop": Role.VIEWER})


def test_it_is_read_as_it_was_begun() -> None:
    assert OURS.read(OURS.begin(ANN, NOW), NOW, 1000) == ANN


@pytest.mark.parametrize("account", [None, 0, 1001])
def test_it_is_nothing_to_another_account(account: int | None) -> None:
    assert OURS.read(OURS.begin(ANN, NOW), NOW, account) is None


def test_it_ends() -> None:
    cookie = OURS.begin(ANN, NOW)
    assert OURS.read(cookie, NOW + SESSION_LASTS, 1000) == ANN
    assert OURS.read(cookie, NOW + SESSION_LASTS + timedelta(seconds=1), 1000) is None


def test_one_under_another_key_or_changed_is_not_ours() -> None:
    cookie = OURS.begin(ANN, NOW)
    assert Sessions(b"other").read(cookie, NOW, 1000) is None
    payload, _, digest = cookie.partition(".")
    document = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(document | {"grants": {"*": "admin"}}).encode()).decode().rstrip("=")
    for each in (f"{forged}.{digest}", f"{payload}.", payload, "", ".", "ü.ü", "a" * 100_000, f"{payload}.{digest}."):
        assert OURS.read(each, NOW, 1000) is None


def test_a_csrf_token_is_of_one_session() -> None:
    one, other = OURS.begin(ANN, NOW), OURS.begin(ANN, NOW)
    assert OURS.is_csrf_token(OURS.csrf_token(one), one)
    assert not OURS.is_csrf_token(OURS.csrf_token(other), one)
    for each in ("", "ü", one, "\ud800"):
        assert not OURS.is_csrf_token(each, one)
