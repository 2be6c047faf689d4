"""SQL databases as Seatrial uses them: every commit is on the disk, and no password reaches an error or a log."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from shutil import disk_usage
from typing import Any

from sqlalchemy import Column, MetaData, create_engine, inspect, text
from sqlalchemy import event as hooks
from sqlalchemy.engine import Connection, Engine, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError, ProgrammingError

from deployments.account_isolation import FOLDER_MODE
from deployments.errors import BadInput, DiskFull, PlatformUnreachable, SeatrialError
from deployments.postgresql import bounded_engine
from deployments.redaction import masked, without_secrets


class Database:
    """The tables of `schema` at a SQLAlchemy URL, made where they are missing; looking at them needs no room on a disk.

    A column that a table of an earlier release lacks is added; it must be one that may be null.

    `name` is what messages call it ("the journal"), `setting` the variable that holds the URL. In a file of SQLite
    `reserve` bytes are kept free for rows that come when the disk is full. Raises `BadInput` for a URL that cannot be
    used, and whatever `transaction` raises.
    """

    def __init__(
        self, url: str, schema: MetaData, name: str, setting: str = "SEATRIAL_JOURNAL_URL", reserve: int = 0
    ) -> None:
        self._url, self._setting = url, setting
        self._reserve = reserve
        self._called = f"{name} {masked(url)}"
        self._engine = _engine_for(url, setting)
        with ExitStack() as given_up:
            given_up.callback(self.close)
            self._complete(schema)
            self._set_aside()
            given_up.pop_all()

    def close(self) -> None:
        """Let the connections go."""
        self._engine.dispose()

    @contextmanager
    def transaction(self, writes: bool = True) -> Iterator[Connection]:
        """All of the block or nothing of it; durable once the block is left.

        SQLite has one writer at a time: others wait up to 30 s, and as long for a PostgreSQL that says nothing. Raises
        `DiskFull`, `PlatformUnreachable` when the database does not answer, `BadInput` when it refuses.
        """
        with self._transaction(writes) as connection:
            yield connection
        if writes:
            self._set_aside()

    def _complete(self, schema: MetaData) -> None:
        with self.transaction(writes=False) as connection:
            complete = not _missing_tables(connection, schema) and not _missing_columns(connection, schema)
        if not complete:
            with self.transaction() as connection:
                schema.create_all(connection)
                for column in _missing_columns(connection, schema):
                    kind = column.type.compile(connection.dialect)
                    connection.execute(text(f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} {kind}"))

    def _set_aside(self) -> None:
        """See to the reserve again once half of it is used up; nothing happens on a disk that has no room for it."""
        if not self._reserve or not (path := _file_of(self._engine)):
            return
        with suppress(SeatrialError):
            with self._transaction(writes=False) as connection:
                free = _pragma(connection, "freelist_count") * _pragma(connection, "page_size")
            if free < self._reserve // 2 and disk_usage(path.parent).free > 4 * self._reserve:
                self._fill_and_empty()

    def _fill_and_empty(self) -> None:
        """Pages that a table gives up stay in the file. Changing them once makes the rollback journal as long, too."""
        with self._transaction(writes=True) as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS set_aside (content BLOB)"))
            connection.execute(text("INSERT INTO set_aside VALUES (zeroblob(:size))"), {"size": self._reserve})
        with self._transaction(writes=True) as connection:
            connection.execute(text("UPDATE set_aside SET content = randomblob(:size)"), {"size": self._reserve})
        with self._transaction(writes=True) as connection:
            connection.execute(text("DELETE FROM set_aside"))

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except ProgrammingError as error:
            reason = without_secrets(str(error.orig), self._url).strip()
            raise BadInput(f"{self._called} refuses ({reason}): let its user create and write tables there") from None
        except DatabaseError as error:
            # SQLite has no kind of its own for a file that is damaged.
            if type(error) not in {OperationalError, DatabaseError}:
                raise
            reason = without_secrets(str(error.orig), self._url).strip()
            if "disk is full" in reason or "disk I/O error" in reason:
                raise DiskFull(
                    f"no space left while writing {self._called}: free some room and run the same command again"
                ) from None
            raise PlatformUnreachable(
                f"{self._called} does not answer ({reason}): check the disk or {self._setting}"
            ) from None


def beside(url: str, name: str) -> str:
    """The database at `url`; of a file of SQLite another one beside it, `…-NAME.db`, which has a writer of its own."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return url  # whoever opens it says what is wrong
    if not parsed.drivername.startswith("sqlite") or parsed.database in {None, "", ":memory:"}:
        return url
    file = Path(str(parsed.database))
    return parsed.set(database=str(file.with_name(f"{file.stem}-{name}{file.suffix}"))).render_as_string()


def _file_of(engine: Engine) -> Path | None:
    """The file of a SQLite database; None for another kind, and for one in memory."""
    name = engine.url.database if engine.dialect.name == "sqlite" else None
    return Path(name) if name and name != ":memory:" else None


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.execute(text(f"PRAGMA {name}")).scalar_one())


def _missing_tables(connection: Connection, schema: MetaData) -> set[str]:
    return set(schema.tables) - set(inspect(connection).get_table_names())


def _missing_columns(connection: Connection, schema: MetaData) -> list[Column[Any]]:
    there = {
        (table, column["name"])
        for (_, table), columns in inspect(connection).get_multi_columns(filter_names=list(schema.tables)).items()
        for column in columns
    }
    tables = {table for table, _ in there}
    return [
        column
        for table in schema.tables.values()
        for column in table.columns
        if table.name in tables and (table.name, column.name) not in there
    ]


def _engine_for(url: str, setting: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql":
            return bounded_engine(parsed)
        if not parsed.drivername.startswith("sqlite"):
            return create_engine(parsed, pool_pre_ping=True)
    except ImportError as error:
        raise BadInput(f"{setting} needs the driver {error.name or 'it names'}: install it beside Seatrial") from None
    except ArgumentError:  # also for a kind of database that is not known
        raise BadInput(f"{setting} holds no database URL: write dialect://user:password@host/name") from None
    if parsed.database:
        _make(Path(parsed.database).parent, setting)
    engine = create_engine(url, connect_args={"timeout": 30})

    @hooks.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below decides, not the driver
        connection.execute("PRAGMA synchronous=FULL")
        # The rollback journal keeps its blocks, so that a commit needs none on a full disk.
        connection.execute("PRAGMA journal_mode=PERSIST")

    @hooks.listens_for(engine, "begin")
    def _one_writer(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", True)
        connection.execute(text("BEGIN IMMEDIATE" if writes else "BEGIN"))

    @hooks.listens_for(engine, "handle_error")
    def _rolled_back(context: ExceptionContext) -> None:
        # SQLAlchemy throws an interrupted connection away. Its cursor, and with it the lock on the file, would live as
        # long as the traceback: while the champion is put back, which needs the lock.
        if not isinstance(context.original_exception, Exception):
            context.is_disconnect = False

    return engine


def _make(folder: Path, setting: str) -> None:
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"no database can be kept in {folder} ({error.strerror}): set SEATRIAL_HOME or {setting} to another place"
        ) from None
