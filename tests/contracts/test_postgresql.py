"""A journal on a real PostgreSQL server: nothing waits for it for ever, whatever becomes of the server."""

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import DBAPIError

from deployments import database as databases
from deployments import postgresql
from deployments.database import Database
from deployments.errors import PlatformUnreachable
from deployments.journals.database import DatabaseJournal, _events
from deployments.journals.protocol import Event
from deployments.process_identity import this_process
from tests import postgres
from tests.postgres import Postgres

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = MetaData()
NUMBERS = Table("numbers", SCHEMA, Column("number", Integer, primary_key=True))


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL here")
    with postgres.running() as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, so short that a test can wait for them."""

    def engine(url: Any) -> Engine:
        limit = timedelta(seconds=4)
        return postgresql.bounded_engine(url, silence=limit, sign_of_life=limit, connecting=limit)

    monkeypatch.setattr(databases, "bounded_engine", engine)


@pytest.fixture
def numbers(server: Postgres, impatient: None) -> Iterator[Database]:
    database = Database(server.url, SCHEMA, "the list of numbers")
    with database.transaction() as connection:
        connection.execute(NUMBERS.delete())
        connection.execute(insert(NUMBERS), {"number": 1})
    yield database
    database.close()


def count(database: Database) -> int:
    with database.transaction(writes=False) as connection:
        return connection.execute(select(func.count()).select_from(NUMBERS)).scalar_one()


def test_a_server_that_stands_still_is_given_up_and_found_again(server: Postgres, numbers: Database) -> None:
    assert count(numbers) == 1
    server.stop_all()
    try:
        with pytest.raises(PlatformUnreachable, match=r"the list of numbers .* does not answer"):
            count(numbers)  # by a connection that was kept, then by a new one
    finally:
        server.go_on()
    assert count(numbers) == 1


def test_a_server_that_stands_still_in_a_transaction_is_given_up(server: Postgres, numbers: Database) -> None:
    with pytest.raises(PlatformUnreachable, match="does not answer"), numbers.transaction() as connection:
        connection.execute(insert(NUMBERS), {"number": 2})
        server.stop_all()
        try:
            connection.execute(select(NUMBERS))
        finally:
            server.go_on()
    assert count(numbers) == 1


def test_the_server_itself_keeps_the_limits_of_locks_statements_and_idle_transactions(numbers: Database) -> None:
    with numbers.transaction(writes=False) as connection:
        told = {
            name: connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        }
    assert told == {
        "lock_timeout": "15s",
        "statement_timeout": "20s",
        "idle_in_transaction_session_timeout": "30s",
    }


def test_whoever_holds_a_lock_and_was_stopped_keeps_it_from_nobody_for_ever(
    server: Postgres, numbers: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner is stopped between two statements: the server ends its session, and the next one has the row."""
    monkeypatch.setitem(postgresql._BY_SERVER, "idle_in_transaction_session_timeout", timedelta(seconds=1))
    theirs = postgresql.bounded_engine(make_url(server.url))
    stopped = theirs.connect()
    stopped.begin()
    stopped.execute(select(NUMBERS).with_for_update())
    monkeypatch.undo()
    patient = postgresql.bounded_engine(make_url(server.url))
    with patient.begin() as connection:
        connection.execute(NUMBERS.update().values(number=3))
    with pytest.raises(DBAPIError):
        stopped.execute(select(NUMBERS))
    stopped.close()
    for each in (patient, theirs):
        each.dispose()


def test_limits_end_with_their_transaction(server: Postgres) -> None:
    engine = postgresql.bounded_engine(make_url(server.url))
    with engine.begin() as connection:
        connection.execute(text("SELECT 1"))
    with closing(engine.raw_connection()) as kept, closing(kept.cursor()) as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
    engine.dispose()


def test_the_urls_own_limit_of_connecting_goes_before_ours(server: Postgres) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg2://tester@127.0.0.1:{silent.getsockname()[1]}/postgres?connect_timeout=2"
        with pytest.raises(PlatformUnreachable, match="does not answer"):
            Database(url, SCHEMA, "the list of numbers")


def test_a_journal_works_as_ever(server: Postgres) -> None:
    journal = DatabaseJournal(server.url)
    lease = journal.acquire("bikes", this_process(), NOW, timedelta(minutes=1))
    journal.renew(lease, NOW, timedelta(minutes=1))
    assert journal.holder("bikes", NOW) == this_process()
    journal.release(lease)
    assert journal.holder("bikes", NOW) is None
    journal.close()


def test_an_event_that_becomes_readable_after_a_later_one_is_told_all_the_same(server: Postgres) -> None:
    """Two processes that record at one moment: the number was drawn first by the one that commits last."""
    with closing(DatabaseJournal(server.url)) as journal:
        _, position = journal.events_after(None)
        with journal._database.transaction() as slow:
            row = {"product": "flights", "run": "r", "at": NOW, "detail": "{}"}
            slow.execute(insert(_events).values(kind="a.first", **row))
            journal.record(Event("flights", "r", NOW, "a.second", {}))
            found, position = journal.events_after(position)
            assert "a.first" not in [each.event.kind for each in found]
        later, _ = journal.events_after(position)
        assert [each.event.kind for each in later][-2:] == ["a.first", "a.second"]
