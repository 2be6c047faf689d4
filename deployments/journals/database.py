"""The journal in a SQL database: SQLite on one machine, PostgreSQL in production."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy import event as hooks
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

from deployments.errors import BadInput, Busy, DiskFull, PlatformUnreachable
from deployments.journals.protocol import Event, Lease
from deployments.owner import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import from_json, to_json
from deployments.secrets import masked, without_secrets

_schema = MetaData()
_rollouts = Table(
    "rollouts",
    _schema,
    Column("rollout_id", String(64), primary_key=True),
    Column("product", String(40), nullable=False, index=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
)
_events = Table(
    "events",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("product", String(40), nullable=False, index=True),
    Column("run", String(64), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
)
_leases = Table(
    "leases",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", String(255), nullable=False),  # empty: nobody
    Column("expires_at", DateTime(timezone=True), nullable=False),
)


class DatabaseJournal:
    """The contract of `Journal` over SQLAlchemy; the password in `url` never reaches an error or a log."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place = masked(url)
        self._engine = _engine_for(url)
        with self._transaction(writes=False) as connection:
            complete = set(_schema.tables) <= set(inspect(connection).get_table_names())
        if not complete:  # looking at a journal needs no room on the disk
            with self._transaction() as connection:
                _schema.create_all(connection)

    def close(self) -> None:
        """Let the database's connections go."""
        self._engine.dispose()

    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta) -> Lease:
        """See `Journal.acquire`."""
        with self._transaction() as connection:
            held = connection.execute(
                select(_leases).where(_leases.c.product == product).with_for_update()
            ).one_or_none()
            if held is None:
                return self._first_lease(connection, Lease(product, holder, 1), now + ttl)
            if held.holder == str(holder):
                lease = Lease(product, holder, held.token)
            elif not held.holder or now >= _aware(held.expires_at) or Owner.parse(held.holder).is_gone():
                lease = Lease(product, holder, held.token + 1)
            else:
                other = Owner.parse(held.holder)
                raise Busy(
                    f"{product}: process {other.pid} on {other.host} is changing its traffic: "
                    "wait for it to end, or end it"
                )
            connection.execute(
                update(_leases)
                .where(_leases.c.product == product)
                .values(token=lease.token, holder=str(holder), expires_at=now + ttl)
            )
            return lease

    def release(self, lease: Lease) -> None:
        """See `Journal.release`."""
        with self._transaction() as connection:
            connection.execute(
                update(_leases)
                .where(_leases.c.product == lease.product, _leases.c.token == lease.token)
                .values(holder="")
            )

    def save(self, state: RolloutState, lease: Lease) -> None:
        """See `Journal.save`."""
        document = _write_state(state)
        with self._transaction() as connection:
            held = connection.execute(
                select(_leases).where(_leases.c.product == lease.product).with_for_update()
            ).one_or_none()
            if held is None or held.token != lease.token:
                raise Busy(
                    f"{lease.product}: the lease {lease.token} of {lease.holder} was taken over; nothing was written"
                )
            changed = connection.execute(
                update(_rollouts).where(_rollouts.c.rollout_id == state.rollout_id).values(state=document)
            )
            if changed.rowcount == 0:
                connection.execute(
                    insert(_rollouts).values(
                        rollout_id=state.rollout_id, product=state.product, started_at=state.started_at, state=document
                    )
                )

    def rollouts(self, product: str) -> tuple[RolloutState, ...]:
        """See `Journal.rollouts`."""
        query = select(_rollouts.c.state).where(_rollouts.c.product == product).order_by(_rollouts.c.started_at.desc())
        with self._transaction(writes=False) as connection:
            return tuple(_read_state(document) for document in connection.execute(query).scalars())

    def record(self, event: Event) -> None:
        """See `Journal.record`."""
        row = {"product": event.product, "run": event.run, "at": event.at, "kind": event.kind}
        with self._transaction() as connection:
            connection.execute(insert(_events).values(**row, detail=json.dumps(dict(event.detail), default=str)))

    def events(self, product: str | None = None) -> tuple[Event, ...]:
        """See `Journal.events`."""
        query = select(_events).order_by(_events.c.number)
        if product is not None:
            query = query.where(_events.c.product == product)
        with self._transaction(writes=False) as connection:
            return tuple(
                Event(row.product, row.run, _aware(row.at), row.kind, json.loads(row.detail))
                for row in connection.execute(query)
            )

    def _first_lease(self, connection: Connection, lease: Lease, until: datetime) -> Lease:
        row = {"product": lease.product, "token": lease.token, "holder": str(lease.holder), "expires_at": until}
        try:
            connection.execute(insert(_leases).values(**row))
        except IntegrityError:
            raise Busy(
                f"{lease.product}: somebody else began to change its traffic at the same moment: try again"
            ) from None
        return lease

    @contextmanager
    def _transaction(self, writes: bool = True) -> Iterator[Connection]:
        try:
            with self._engine.connect().execution_options(writes=writes) as connection, connection.begin():
                yield connection
        except OperationalError as error:
            reason = without_secrets(str(error.orig), self._url).strip()
            if "disk is full" in reason or "disk I/O error" in reason:
                raise DiskFull(
                    f"no space left while writing the journal {self._place}: free some room and run again"
                ) from None
            raise PlatformUnreachable(
                f"the journal {self._place} does not answer ({reason}): check the disk or SEATRIAL_JOURNAL_URL"
            ) from None
        except ProgrammingError as error:
            reason = without_secrets(str(error.orig), self._url).strip()
            raise BadInput(
                f"the journal {self._place} refuses ({reason}): let its user create and write tables there"
            ) from None


def _engine_for(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if not parsed.drivername.startswith("sqlite"):
            return create_engine(parsed, pool_pre_ping=True)
    except ImportError as error:
        raise BadInput(
            f"SEATRIAL_JOURNAL_URL needs the driver {error.name or 'it names'}: install it beside Seatrial"
        ) from None
    except ArgumentError:  # also for a kind of database that is not known
        raise BadInput("SEATRIAL_JOURNAL_URL holds no database URL: write dialect://user:password@host/name") from None
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 30})

    @hooks.listens_for(engine, "connect")
    def _durable(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below decides, not the driver
        connection.execute("PRAGMA synchronous=FULL")

    @hooks.listens_for(engine, "begin")
    def _one_writer(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", True)
        connection.execute(text("BEGIN IMMEDIATE" if writes else "BEGIN"))

    return engine


def _write_state(state: RolloutState) -> str:
    plain = {field.name: getattr(state, field.name) for field in fields(state)}
    return json.dumps(plain | {"steps": [to_json(step) for step in state.steps]}, default=datetime.isoformat)


def _read_state(document: str) -> RolloutState:
    values = json.loads(document)
    values["steps"] = tuple(from_json(step) for step in values["steps"])
    values["phase"] = Phase(values["phase"])
    for name in ("started_at", "updated_at"):
        values[name] = datetime.fromisoformat(values[name])
    return RolloutState(**values)


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
