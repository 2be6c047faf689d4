"""What was journalled and not told yet, in a SQL database: how far the journal was read, and what waits for whom.

An event is put into it in one transaction with the place in the journal that it was read from, so that none is lost
and none is put into it twice; it leaves once its receiver has it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from deployments.database import Database, beside
from deployments.event_delivery.catalogue import Occurrence, mark_of, occurrences
from deployments.journals.protocol import Recorded

KEPT_FOR: Final = timedelta(days=30)
_RESERVE_BYTES: Final = 256 * 1024
# More than the journal ever gives again.
_SEEN: Final = 2_000
_ASKED_AT_ONCE: Final = 500
# What stands in `event_position`: how far the journal was read, and how often things were sent again.
_READ, _RESENT = 1, 2

_schema = MetaData()
_position = Table("event_position", _schema, Column("id", Integer, primary_key=True), Column("position", Text))
_seen = Table(
    "event_seen",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("mark", String(36), nullable=False, unique=True),
)
_phases = Table(
    "event_phases",
    _schema,
    Column("rollout", String(64), primary_key=True),
    Column("phase", String(16), nullable=False),
)
_deliveries = Table(
    "event_deliveries",
    _schema,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("subscription", String(16), nullable=False),
    Column("product", String(40), nullable=False),
    Column("state", String(16), nullable=False),
    Column("event", Text, nullable=False),
    Column("came", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("why", Text, nullable=False),
)
Index("event_deliveries_waiting", _deliveries.c.subscription, _deliveries.c.state, _deliveries.c.product)
_disabled = Table(
    "event_disabled", _schema, Column("subscription", String(16), primary_key=True), Column("why", Text, nullable=False)
)


class State(StrEnum):
    """Of a delivery that has not arrived."""

    WAITING = "waiting"
    DEAD = "dead"  # given up


class Wanting(Protocol):
    """Somebody who is told of events."""

    @property
    def id(self) -> str:
        """By which its deliveries are known."""
        ...

    def wants(self, product: str, kind: str) -> bool:
        """Whether it is told of an event of this type of a product."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one receiver. `came` is when it was put into the outbox; `why` what went wrong the last time."""

    number: int
    subscription: str
    occurrence: Occurrence
    state: State
    came: datetime
    tries: int
    why: str


class Outbox:
    """In the journal's database; where that is a file of SQLite, in another one beside it.

    Every method raises `DiskFull`, `PlatformUnreachable` or `BadInput` as `deployments.database` does.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(beside(url, "events"), _schema, "the outbox of events", reserve=_RESERVE_BYTES)

    def close(self) -> None:
        """Let the database's connections go."""
        self._database.close()

    def position(self) -> str | None:
        """How far the journal was read; None: never."""
        with self._database.transaction(writes=False) as connection:
            return _kept(connection, _READ)

    def take(
        self, recorded: Sequence[Recorded], before: str | None, after: str, to: Sequence[Wanting], now: datetime
    ) -> int:
        """Put what lies between two positions into it, for each of `to` that wants it; how many deliveries that made.

        Nothing happens where somebody else has read on from `before` meanwhile.
        """
        if before == after and not self._any_fresh(recorded):
            return 0
        try:
            with self._database.transaction() as connection:
                return _take(connection, recorded, to, now) if _moved(connection, before, after) else 0
        except IntegrityError:  # the first time, by another process at the same moment
            return 0

    def _any_fresh(self, recorded: Sequence[Recorded]) -> bool:
        with self._database.transaction(writes=False) as connection:
            return bool(_fresh(connection, recorded))

    def heads(self, subscription: str) -> tuple[Delivery, ...]:
        """The oldest that waits of each product; nothing for a subscription that is disabled."""
        first = (
            select(func.min(_deliveries.c.number))
            .where(_deliveries.c.subscription == subscription, _deliveries.c.state == State.WAITING)
            .group_by(_deliveries.c.product)
        )
        off = select(_disabled.c.subscription)
        query = select(_deliveries).where(_deliveries.c.number.in_(first), _deliveries.c.subscription.not_in(off))
        with self._database.transaction(writes=False) as connection:
            return tuple(map(_delivery, connection.execute(query.order_by(_deliveries.c.number))))

    def arrived(self, delivery: Delivery) -> None:
        """Its receiver has it."""
        with self._database.transaction() as connection:
            connection.execute(delete(_deliveries).where(_deliveries.c.number == delivery.number))

    def failed(self, delivery: Delivery, state: State, why: str) -> None:
        """It did not arrive this time, and waits or is given up."""
        changed = {"state": state, "why": why, "tries": _deliveries.c.tries + 1}
        with self._database.transaction() as connection:
            connection.execute(update(_deliveries).where(_deliveries.c.number == delivery.number).values(changed))

    def disable(self, subscription: str, why: str) -> None:
        """Nothing is sent to it any more, and what waits for it is given up."""
        waiting = (_deliveries.c.subscription == subscription) & (_deliveries.c.state == State.WAITING)
        with self._database.transaction() as connection:
            connection.execute(delete(_disabled).where(_disabled.c.subscription == subscription))
            connection.execute(insert(_disabled).values(subscription=subscription, why=why))
            connection.execute(update(_deliveries).where(waiting).values(state=State.DEAD, why=why))

    def disabled(self) -> Mapping[str, str]:
        """Why each of those that are disabled is."""
        with self._database.transaction(writes=False) as connection:
            return dict(connection.execute(select(_disabled.c.subscription, _disabled.c.why)).tuples().all())

    def dead(self, most: int, subscription: str | None = None) -> tuple[Delivery, ...]:
        """What was given up, newest first."""
        query = select(_deliveries).where(_deliveries.c.state == State.DEAD)
        if subscription is not None:
            query = query.where(_deliveries.c.subscription == subscription)
        with self._database.transaction(writes=False) as connection:
            return tuple(map(_delivery, connection.execute(query.order_by(_deliveries.c.number.desc()).limit(most))))

    def resend(self, now: datetime, subscription: str | None = None) -> int:
        """Let what was given up wait once more, and what is disabled be sent to again; how many deliveries."""
        these, off = _deliveries.c.state == State.DEAD, delete(_disabled)
        if subscription is not None:
            these &= _deliveries.c.subscription == subscription
            off = off.where(_disabled.c.subscription == subscription)
        again = {"state": State.WAITING, "tries": 0, "why": "", "came": now.timestamp()}
        with self._database.transaction() as connection:
            connection.execute(off)
            times = int(_kept(connection, _RESENT) or 0)
            connection.execute(delete(_position).where(_position.c.id == _RESENT))
            connection.execute(insert(_position).values(id=_RESENT, position=str(times + 1)))
            return connection.execute(update(_deliveries).where(these).values(again)).rowcount

    def resent(self) -> int:
        """How often somebody let things be sent again: pauses are then over."""
        with self._database.transaction(writes=False) as connection:
            return int(_kept(connection, _RESENT) or 0)

    def counts(self) -> Mapping[str, Mapping[State, int]]:
        """How many have not arrived, by subscription and state."""
        query = select(_deliveries.c.subscription, _deliveries.c.state, func.count())
        found: dict[str, dict[State, int]] = {}
        with self._database.transaction(writes=False) as connection:
            grouped = query.group_by(_deliveries.c.subscription, _deliveries.c.state)
            for subscription, state, number in connection.execute(grouped):
                found.setdefault(subscription, {})[State(state)] = number
        return found

    def forget(self, subscription: str) -> None:
        """All of a subscription that is gone."""
        with self._database.transaction() as connection:
            connection.execute(delete(_deliveries).where(_deliveries.c.subscription == subscription))
            connection.execute(delete(_disabled).where(_disabled.c.subscription == subscription))

    def forget_old(self, now: datetime) -> int:
        """Forget what was given up so long ago that nobody sends it again; how many."""
        old = (_deliveries.c.state == State.DEAD) & (_deliveries.c.came < (now - KEPT_FOR).timestamp())
        with self._database.transaction() as connection:
            return connection.execute(delete(_deliveries).where(old)).rowcount


def _kept(connection: Connection, what: int) -> str | None:
    return connection.execute(select(_position.c.position).where(_position.c.id == what)).scalar_one_or_none()


def _moved(connection: Connection, before: str | None, after: str) -> bool:
    if before is None:
        connection.execute(insert(_position).values(id=_READ, position=after))
        return True
    here = (_position.c.id == _READ) & (_position.c.position == before)
    return connection.execute(update(_position).where(here).values(position=after)).rowcount == 1


def _take(connection: Connection, recorded: Sequence[Recorded], to: Sequence[Wanting], now: datetime) -> int:
    fresh = _fresh(connection, recorded)
    _remember(connection, fresh)
    made = [each for line in fresh for each in occurrences(line, lambda run, phase: _phase(connection, run, phase))]
    rows = [
        {
            "subscription": receiver.id,
            "product": each.product,
            "state": State.WAITING,
            "event": _written(each),
            "came": now.timestamp(),
            "tries": 0,
            "why": "",
        }
        for each in made
        for receiver in to
        if receiver.wants(each.product, each.type)
    ]
    if rows:
        connection.execute(insert(_deliveries), rows)
    return len(rows)


def _fresh(connection: Connection, recorded: Sequence[Recorded]) -> list[Recorded]:
    known: set[str] = set()
    for start in range(0, len(recorded), _ASKED_AT_ONCE):
        marks = list(map(mark_of, recorded[start : start + _ASKED_AT_ONCE]))
        known |= set(connection.execute(select(_seen.c.mark).where(_seen.c.mark.in_(marks))).scalars())
    return [each for each in recorded if mark_of(each) not in known]


def _remember(connection: Connection, fresh: Sequence[Recorded]) -> None:
    if fresh:
        connection.execute(insert(_seen), [{"mark": mark_of(each)} for each in fresh])
        newest = connection.execute(select(func.max(_seen.c.number))).scalar_one()
        connection.execute(delete(_seen).where(_seen.c.number <= newest - _SEEN))


def _phase(connection: Connection, rollout: str, phase: str) -> str | None:
    """The phase before; the new one is remembered."""
    this = _phases.c.rollout == rollout
    former = connection.execute(select(_phases.c.phase).where(this)).scalar_one_or_none()
    if former is None:
        connection.execute(insert(_phases).values(rollout=rollout, phase=phase))
    elif former != phase:
        connection.execute(update(_phases).where(this).values(phase=phase))
    return former


def _written(each: Occurrence) -> str:
    said = {"id": each.id, "type": each.type, "run": each.run, "at": each.at.isoformat(), "data": dict(each.data)}
    return json.dumps({"product": each.product} | said, default=str)


def _delivery(row: Row[Any]) -> Delivery:
    said = json.loads(row.event)
    at = datetime.fromisoformat(said["at"])
    occurrence = Occurrence(said["id"], said["type"], said["product"], said["run"], at, said["data"])
    came = datetime.fromtimestamp(row.came, UTC)
    return Delivery(row.number, row.subscription, occurrence, State(row.state), came, row.tries, row.why)
