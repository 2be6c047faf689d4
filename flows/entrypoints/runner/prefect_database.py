"""Prefect's SQLite database, in which whoever will write asks for that before it reads.

Prefect begins most transactions "deferred". One that has read already, and writes after another one has written, fails
at once with "database is locked", however long it may wait: what it read is no longer so. Under two runs and a page
that takes the worker's heartbeat or a run's state. One that begins "immediate" waits for its turn first.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from prefect.server.database.configurations import SQLITE_BEGIN_MODE, AioSqliteConfiguration
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction


class InTurn(AioSqliteConfiguration):
    """Transactions that may write come one after the other; reading outside of them waits for nobody."""

    @asynccontextmanager
    async def begin_transaction(
        self, session: AsyncSession, with_for_update: bool = False
    ) -> AsyncGenerator[AsyncSessionTransaction, None]:
        """As Prefect's, with the turn of a writer from the beginning."""
        # A second session within a transaction would wait for the first one, which waits for it: as Prefect has it.
        if with_for_update or SQLITE_BEGIN_MODE.get() is not None:
            async with super().begin_transaction(session, with_for_update) as transaction:
                yield transaction
            return
        token = SQLITE_BEGIN_MODE.set("IMMEDIATE")
        try:
            async with session.begin() as transaction:
                await session.connection()
                SQLITE_BEGIN_MODE.set("DEFERRED")  # what the body opens beside this session takes no turn
                yield transaction
        finally:
            SQLITE_BEGIN_MODE.reset(token)


def serialize_writers() -> None:
    """Call once, before Prefect's server is made. Another database than SQLite is left alone."""
    address = PREFECT_API_DATABASE_CONNECTION_URL.value()
    if address.startswith("sqlite"):
        MODELS_DEPENDENCIES["database_config"] = InTurn(connection_url=address)
