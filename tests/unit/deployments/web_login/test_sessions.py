"""Tickets and sessions of the pages."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from deployments.web_login.sessions import SESSION_LASTS, TICKET_LASTS, Passes

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
OWNER = 1000


@pytest.fixture
def passes() -> Passes:
    return Passes(b"k" * 43, "prefect")


def test_a_ticket_is_good_once(passes: Passes) -> None:
    ticket = passes.ticket(NOW)
    assert passes.redeem(ticket, NOW + SECOND)
    assert not passes.redeem(ticket, NOW + SECOND)
    assert passes.redeem(passes.ticket(NOW), NOW + SECOND), "another one is"


def test_a_used_ticket_is_not_forgotten_before_it_is_over(passes: Passes) -> None:
    ticket = passes.ticket(NOW)
    assert passes.redeem(ticket, NOW)
    for second in range(1, round(TICKET_LASTS.total_seconds()) + 2):
        passes.redeem(passes.ticket(NOW), NOW)
        assert not passes.redeem(ticket, NOW + second * SECOND)


def test_a_ticket_lasts_a_minute_and_a_session_half_a_day(passes: Passes) -> None:
    assert not passes.redeem(passes.ticket(NOW), NOW + TICKET_LASTS + SECOND)
    session = passes.session(NOW, OWNER)
    assert passes.is_session(session, NOW + SESSION_LASTS - SECOND, OWNER)
    assert not passes.is_session(session, NOW + SESSION_LASTS + SECOND, OWNER)


def test_one_is_not_taken_for_the_other_nor_for_that_of_another_part_or_platform(passes: Passes) -> None:
    mlflow, other = Passes(passes.key, "mlflow"), Passes(b"x" * 43, "prefect")
    assert not passes.is_session(passes.ticket(NOW), NOW, OWNER)
    assert not passes.redeem(passes.session(NOW, OWNER), NOW)
    for stranger in (mlflow, other):
        assert not stranger.redeem(passes.ticket(NOW), NOW)
        assert not stranger.is_session(passes.session(NOW, OWNER), NOW, OWNER)


@pytest.mark.parametrize("what", ["ticket", "session"])
def test_one_that_was_changed_is_not_good(passes: Passes, what: str) -> None:
    shown = passes.ticket(NOW) if what == "ticket" else passes.session(NOW, OWNER)
    end, nonce, digest = shown.split(".")
    forged = [
        f"{int(end) + 3600}.{nonce}.{digest}", f"{end}.{nonce}x.{digest}", f"{end}.{nonce}.{digest[:-1]}",
        f"{end}.{nonce}.", f"{end}.{nonce}", "", "..", "a.b.c", f"-1.{nonce}.{digest}", f"²{end}.{nonce}.{digest}",
        shown + ".", shown * 40, f"{end}.{nonce}.{digest}é", "9" * 199 + "..",
    ]  # fmt: skip

    def good(each: str) -> bool:
        return passes.redeem(each, NOW) if what == "ticket" else passes.is_session(each, NOW, OWNER)

    assert not [each for each in forged if good(each)]
    assert good(shown)


def test_a_session_is_of_the_account_that_it_was_given_to(passes: Passes) -> None:
    accounts = (OWNER, 0, 65534, None)
    for given, shown in itertools.product(accounts, accounts):
        assert passes.is_session(passes.session(NOW, given), NOW, shown) is (given == shown)


def test_the_key_is_not_in_what_is_printed(passes: Passes) -> None:
    assert "kkk" not in repr(passes)
