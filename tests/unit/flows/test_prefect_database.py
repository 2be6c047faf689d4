"""Two transactions of Prefect's that read first and write then: neither fails, and neither's writing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from prefect.server.database.configurations import AioSqliteConfiguration
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from flows.entrypoints.runner.prefect_database import InTurn

_READ = sa.text("SELECT value FROM counter")
_ADD = sa.text("UPDATE counter SET value = :value")
# Seconds that a second writer is given to get in between; one that waits for its turn does not, however many.
_CHANCE = 1.0


class Counter:
    """One number in a database, which writers read and then raise by one."""

    def __init__(self, database: AioSqliteConfiguration) -> None:
        self._database = database

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        async with await self._database.session(await self._database.engine()) as session:
            yield session

    async def raise_by_one(self) -> None:
        async with self.session() as session, self._database.begin_transaction(session):
            value = int((await session.execute(_READ)).scalar_one())
            await session.execute(_ADD, {"value": value + 1})

    async def value(self) -> int:
        async with self.session() as session:
            return int((await session.execute(_READ)).scalar_one())


@asynccontextmanager
async def counting(database: AioSqliteConfiguration) -> AsyncIterator[Counter]:
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.execute(sa.text("CREATE TABLE counter (value INTEGER)"))
        await connection.execute(sa.text("INSERT INTO counter VALUES (0)"))
    try:
        yield Counter(database)
    finally:
        await engine.dispose()


def address(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder}/prefect.db"


async def two_writers(database: AioSqliteConfiguration, chance: float | None) -> int:
    """The second one begins after the first one has read, and has `chance` seconds (None: all it needs) to write."""
    async with counting(database) as counter:
        begun = asyncio.Event()

        async def second() -> None:
            await begun.wait()
            await counter.raise_by_one()

        other = asyncio.create_task(second())
        async with counter.session() as session, database.begin_transaction(session):
            value = int((await session.execute(_READ)).scalar_one())
            begun.set()
            await asyncio.wait([other], timeout=chance)
            await session.execute(_ADD, {"value": value + 1})
        await other
        return await counter.value()


def test_two_that_read_before_they_write_both_write(tmp_path: Path) -> None:
    assert asyncio.run(two_writers(InTurn(connection_url=address(tmp_path)), _CHANCE)) == 2


def test_prefect_by_itself_loses_one_of_them(tmp_path: Path) -> None:
    """When this fails Prefect has mended it, and our own configuration can go."""
    with pytest.raises(OperationalError, match="database is locked"):
        asyncio.run(two_writers(AioSqliteConfiguration(connection_url=address(tmp_path)), None))


async def reads_beside(database: AioSqliteConfiguration) -> int:
    """Inside a transaction that has written, another session reads, as Prefect's events of work queues do."""
    async with counting(database) as counter:
        async with counter.session() as session, database.begin_transaction(session):
            await session.execute(_ADD, {"value": 7})
            async with counter.session() as beside, database.begin_transaction(beside):
                before = int((await beside.execute(_READ)).scalar_one())
            assert await counter.value() == before == 0
        return await counter.value()


def test_a_session_beside_an_open_transaction_does_not_wait_for_it(tmp_path: Path) -> None:
    assert asyncio.run(reads_beside(InTurn(connection_url=address(tmp_path)))) == 7


def test_what_failed_in_a_transaction_gives_the_turn_back(tmp_path: Path) -> None:
    async def fails_and_goes_on() -> int:
        async with counting(InTurn(connection_url=address(tmp_path))) as counter:
            with pytest.raises(sa.exc.SQLAlchemyError):
                async with counter.session() as session, counter._database.begin_transaction(session):
                    await session.execute(sa.text("SELECT nothing FROM nowhere"))
            await counter.raise_by_one()
            return await counter.value()

    assert asyncio.run(fails_and_goes_on()) == 1
