"""The journal in a SQL database: SQLite on one machine, PostgreSQL in production."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from deployments.analysis.evidence import Block, block_from_json, block_to_json
from deployments.database import Database
from deployments.errors import Busy
from deployments.fencing import next_token
from deployments.journals.protocol import Event, Lease, Recorded
from deployments.journals.refusals import held_by, is_over, is_unknown
from deployments.journals.state_codec import read_state, readable, write_state
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Order, Verb
from deployments.rollout.state import RolloutState

# Some hundred looks and decisions: enough to end what is under way on a disk that has filled up.
_RESERVE = 1024 * 1024
# Of events, in PostgreSQL: so many numbers may be readable before one that was drawn before them.
_LATE = 200
_AT_ONCE = 300

_schema = MetaData()
_rollouts = Table(
    "rollouts",
    _schema,
    Column("rollout_id", String(64), primary_key=True),
    Column("product", String(40), nullable=False, index=True),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("state", Text, nullable=False),
    Column("live", Boolean, nullable=False, index=True),
)
_blocks = Table(
    "evidence",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", String(64), nullable=False, index=True),
    Column("block", Text, nullable=False),
)
_orders = Table(
    "orders",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("rollout_id", String(64), nullable=False, index=True),
    Column("verb", String(16), nullable=False),
    Column("who", String(255), nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
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

    orders_every = timedelta(0)

    def __init__(self, url: str) -> None:
        self._database = Database(url, _schema, "the journal", reserve=_RESERVE)

    def close(self) -> None:
        """Let the database's connections go."""
        self._database.close()

    def acquire(self, product: str, holder: Owner, now: datetime, ttl: timedelta, above: int = 0) -> Lease:
        """See `Journal.acquire`."""
        with self._database.transaction() as connection:
            held = connection.execute(
                select(_leases).where(_leases.c.product == product).with_for_update()
            ).one_or_none()
            if held is None:
                return self._first_lease(connection, Lease(product, holder, next_token(above, now)), now + ttl)
            if held.holder == str(holder) and held.token > above:
                lease = Lease(product, holder, held.token)
            elif held.holder != str(holder) and (present := _holder_of(held, now)) is not None:
                raise held_by(product, present)
            else:
                lease = Lease(product, holder, next_token(max(held.token, above), now))
            connection.execute(
                update(_leases)
                .where(_leases.c.product == product)
                .values(token=lease.token, holder=str(holder), expires_at=now + ttl)
            )
            return lease

    def renew(self, lease: Lease, now: datetime, ttl: timedelta) -> None:
        """See `Journal.renew`."""
        with self._database.transaction() as connection:
            _check(connection, lease)
            connection.execute(update(_leases).where(_leases.c.product == lease.product).values(expires_at=now + ttl))

    def release(self, lease: Lease) -> None:
        """See `Journal.release`."""
        with self._database.transaction() as connection:
            connection.execute(
                update(_leases)
                .where(_leases.c.product == lease.product, _leases.c.token == lease.token)
                .values(holder="")
            )

    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """See `Journal.save`."""
        document = write_state(state)
        written = {"state": document, "live": state.live, "started_at": state.started_at}
        with self._database.transaction() as connection:
            _check(connection, lease)
            changed = connection.execute(
                update(_rollouts).where(_rollouts.c.rollout_id == state.rollout_id).values(**written)
            )
            if changed.rowcount == 0:
                connection.execute(
                    insert(_rollouts).values(rollout_id=state.rollout_id, product=state.product, **written)
                )
            if block is not None:
                row = {"rollout_id": state.rollout_id, "block": json.dumps(block_to_json(block))}
                connection.execute(insert(_blocks).values(**row))

    def rollout(self, product: str, rollout_id: str) -> RolloutState:
        """See `Journal.rollout`."""
        query = select(_rollouts.c.state).where(_rollouts.c.rollout_id == rollout_id, _rollouts.c.product == product)
        with self._database.transaction(writes=False) as connection:
            document = connection.execute(query).scalar_one_or_none()
        if document is None:
            raise is_unknown(product, rollout_id)
        return read_state(document)

    def rollouts(self, product: str, newest: int | None = None) -> tuple[RolloutState, ...]:
        """See `Journal.rollouts`."""
        mine = select(_rollouts.c.state).where(_rollouts.c.product == product)
        query = mine.order_by(_rollouts.c.started_at.desc()).limit(newest)
        with self._database.transaction(writes=False) as connection:
            return tuple(read_state(document) for document in connection.execute(query).scalars())

    def holder(self, product: str, now: datetime) -> Owner | None:
        """See `Journal.holder`."""
        with self._database.transaction(writes=False) as connection:
            held = connection.execute(select(_leases).where(_leases.c.product == product)).one_or_none()
        return None if held is None else _holder_of(held, now)

    def under_way(self) -> tuple[RolloutState, ...]:
        """See `Journal.under_way`."""
        query = select(_rollouts.c.state).where(_rollouts.c.live).order_by(_rollouts.c.started_at)
        with self._database.transaction(writes=False) as connection:
            return tuple(readable(connection.execute(query).scalars()))

    def newest(self) -> tuple[RolloutState, ...]:
        """See `Journal.newest`."""
        last = select(_rollouts.c.product, func.max(_rollouts.c.started_at).label("last")).group_by(_rollouts.c.product)
        newest = last.subquery()
        is_newest = (_rollouts.c.product == newest.c.product) & (_rollouts.c.started_at == newest.c.last)
        query = select(_rollouts.c.state).join(newest, is_newest).order_by(_rollouts.c.product)
        with self._database.transaction(writes=False) as connection:
            found = {each.product: each for each in readable(connection.execute(query).scalars())}
        return tuple(found.values())

    def evidence(self, rollout_id: str, skip: int = 0) -> tuple[Block, ...]:
        """See `Journal.evidence`."""
        query = select(_blocks.c.block).where(_blocks.c.rollout_id == rollout_id).order_by(_blocks.c.number)
        query = query.offset(skip) if skip else query
        with self._database.transaction(writes=False) as connection:
            return tuple(block_from_json(json.loads(block)) for block in connection.execute(query).scalars())

    def give(self, rollout_id: str, verb: Verb, who: str, reason: str, at: datetime) -> Order:
        """See `Journal.give`."""
        row = {"rollout_id": rollout_id, "verb": verb.value, "who": who, "reason": reason, "at": at}
        with self._database.transaction() as connection:
            number = connection.execute(insert(_orders).values(**row).returning(_orders.c.number)).scalar_one()
        return Order(number, rollout_id, verb, who, reason, at)

    def orders(self, rollout_id: str, after: int = 0) -> tuple[Order, ...]:
        """See `Journal.orders`."""
        mine = (_orders.c.rollout_id == rollout_id) & (_orders.c.number > after)
        with self._database.transaction(writes=False) as connection:
            return tuple(
                Order(row.number, row.rollout_id, Verb(row.verb), row.who, row.reason, _aware(row.at))
                for row in connection.execute(select(_orders).where(mine).order_by(_orders.c.number))
            )

    def record(self, event: Event) -> None:
        """See `Journal.record`."""
        row = {"product": event.product, "run": event.run, "at": event.at, "kind": event.kind}
        with self._database.transaction() as connection:
            connection.execute(insert(_events).values(**row, detail=json.dumps(dict(event.detail), default=str)))

    def events(self, product: str | None = None, newest: int | None = None) -> tuple[Event, ...]:
        """See `Journal.events`."""
        query = select(_events).order_by(_events.c.number.desc()).limit(newest)
        if product is not None:
            query = query.where(_events.c.product == product)
        with self._database.transaction(writes=False) as connection:
            rows = connection.execute(query).all()
        return tuple(map(_event, reversed(rows)))

    def events_after(self, position: str | None) -> tuple[tuple[Recorded, ...], str]:
        """See `Journal.events_after`. SQLite has one writer at a time, so nothing comes late there."""
        with self._database.transaction(writes=False) as connection:
            newest = connection.execute(select(func.max(_events.c.number))).scalar_one() or 0
            if position is None:
                return (), str(newest)
            known = int(position) if position.isdecimal() else 0
            after = known if known <= newest else 0
            late = 0 if connection.dialect.name == "sqlite" else _LATE
            query = select(_events).where(_events.c.number > after - late).order_by(_events.c.number)
            rows = connection.execute(query.limit(late + _AT_ONCE)).all()
        return tuple(Recorded(str(row.number), _event(row)) for row in rows), str(
            max(after, rows[-1].number) if rows else after
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


def _check(connection: Connection, lease: Lease) -> None:
    held = connection.execute(select(_leases).where(_leases.c.product == lease.product).with_for_update()).one_or_none()
    if held is None or (held.token, held.holder) != (lease.token, str(lease.holder)):
        raise is_over(lease)


def _holder_of(held: Row[Any], now: datetime) -> Owner | None:
    """Who has the lease that a row says; None for nobody."""
    owner = Owner.parse(held.holder) if held.holder else None
    return owner if owner is not None and owner.keeps(_aware(held.expires_at), now) else None


def _event(row: Row[Any]) -> Event:
    return Event(row.product, row.run, _aware(row.at), row.kind, json.loads(row.detail))


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
