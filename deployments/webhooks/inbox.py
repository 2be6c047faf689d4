"""What was accepted and what became of it, in a SQL database: on the disk before anybody is told so.

Each delivery is kept under the digest of what makes it one, so that a repetition is known. What somebody set in the
registry stands here, too, as it was last seen: whatever differs from it, and came by no webhook, was never delivered.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from typing import Any, Final

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
from deployments.webhooks.requests import Action, Wish
from deployments.webhooks.sources.github import FRESH_FOR as LONGEST_FRESH

# Longer than anything is fresh, so that no repetition is taken for a first one.
KEPT_FOR: Final = 3 * LONGEST_FRESH
# Of one product.
MOST_WAITING: Final = 20_000
# How the ids of deliveries begin that a look at the registry made.
FOUND: Final = "found-"
_ASKED_AT_ONCE: Final = 500
_RESERVE_BYTES: Final = 256 * 1024

_schema = MetaData()
_deliveries = Table(
    "webhook_deliveries",
    _schema,
    Column("mark", String(64), primary_key=True),
    Column("source", String(16), nullable=False),
    Column("product", String(40), nullable=False),
    Column("delivery", String(128), nullable=False),
    Column("action", String(16), nullable=False),
    Column("version", Integer),
    Column("rule", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("received", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("why", Text, nullable=False),
    Column("run", String(36), nullable=False),
)
Index("webhook_deliveries_waiting", _deliveries.c.state, _deliveries.c.product)
_seen = Table(
    "webhook_registry",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("rule", String(255), primary_key=True),
    Column("versions", Text, nullable=False),
    Column("at", Float, nullable=False),
)


class State(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"  # its run is not started yet
    STARTED = "started"
    NOTHING = "nothing to do"
    REFUSED = "refused"  # what it asks for is not to be had
    DEAD = "dead"  # given up: no run can be started as things are


class Kept(Enum):
    """Whether a delivery was put into the inbox."""

    NEW = auto()
    KNOWN = auto()  # it is there already
    NO_ROOM = auto()  # so many of its product wait that no more of them is taken


@dataclass(frozen=True, slots=True)
class Delivery:
    """One that was accepted. `mark` is what a repetition of it has, too, and no other.

    `since` is the time after which a rollout of the same version is what was asked for. `run` is the run's id in
    Prefect, empty before there is one; `why` says what it waits for, or why there will be none.
    """

    mark: str
    source: str
    product: str
    delivery: str
    wish: Wish
    since: datetime
    received: datetime
    state: State = State.WAITING
    tries: int = 0
    why: str = ""
    run: str = ""

    @property
    def who(self) -> str:
        """Who asked, for the history."""
        return f"{self.source} (webhook)"


@dataclass(frozen=True, slots=True)
class Seen:
    """The versions that a rule was true of, and when that was looked at."""

    versions: frozenset[int]
    at: datetime


def mark_of(source: str, product: str, identity: str) -> str:
    """64 hexadecimal digits."""
    return hashlib.sha256(f"{source}\0{product}\0{identity}".encode()).hexdigest()


class Inbox:
    """Deliveries in the journal's database; where that is a file of SQLite, in another one beside it.

    Every method raises `DiskFull`, `PlatformUnreachable` or `BadInput` as `deployments.database` does.
    """

    def __init__(self, journal: str) -> None:
        self._database = Database(beside(journal, "webhooks"), _schema, "the webhooks' inbox", reserve=_RESERVE_BYTES)

    def close(self) -> None:
        """Let the database's connections go."""
        self._database.close()

    def put(self, deliveries: Sequence[Delivery]) -> tuple[Kept, ...]:
        """Keep them, all that there is room for or none, on the disk when this returns; what became of each."""
        try:
            return self._put(deliveries)
        except IntegrityError:  # another process kept one of them at the same moment
            return self._put(deliveries)

    def _put(self, deliveries: Sequence[Delivery]) -> tuple[Kept, ...]:
        with self._database.transaction() as connection:
            known = _known(connection, [each.mark for each in deliveries])
            wait = Counter(_waiting(connection))
            became = []
            for each in deliveries:
                if each.mark in known or _found_by_look(connection, each):
                    became.append(Kept.KNOWN)
                elif wait[each.product] >= MOST_WAITING:
                    became.append(Kept.NO_ROOM)
                else:
                    became.append(Kept.NEW)
                    known.add(each.mark)
                    wait[each.product] += 1
            kept = [each for each, how in zip(deliveries, became, strict=True) if how is Kept.NEW]
            if kept:
                connection.execute(insert(_deliveries), list(map(_row, kept)))
            for each in kept:
                _add_seen(connection, each)
        return tuple(became)

    def waiting(self, most: int, without: Collection[str] = ()) -> tuple[Delivery, ...]:
        """Those that have no run yet, oldest first, but for some products."""
        query = select(_deliveries).where(_deliveries.c.state == State.WAITING)
        if without:
            query = query.where(_deliveries.c.product.not_in(without))
        with self._database.transaction(writes=False) as connection:
            found = connection.execute(query.order_by(_deliveries.c.received, _deliveries.c.mark).limit(most))
            return tuple(map(_delivery, found))

    def count_waiting(self) -> Mapping[str, int]:
        """How many have no run yet, by product; products without any are left out."""
        with self._database.transaction(writes=False) as connection:
            return _waiting(connection)

    def became(self, mark: str, state: State, why: str = "", run: str = "") -> None:
        """Write down what became of a delivery, or what it waits for after one more try."""
        changed = {"state": state, "why": why, "run": run, "tries": _deliveries.c.tries + 1}
        with self._database.transaction() as connection:
            connection.execute(update(_deliveries).where(_deliveries.c.mark == mark).values(changed))

    def again(self, product: str | None = None) -> int:
        """Let what was given up wait once more; how many."""
        query = update(_deliveries).where(_deliveries.c.state == State.DEAD)
        if product is not None:
            query = query.where(_deliveries.c.product == product)
        with self._database.transaction() as connection:
            return connection.execute(query.values(state=State.WAITING, tries=0, why="")).rowcount

    def newest(self, most: int, product: str | None = None, state: State | None = None) -> tuple[Delivery, ...]:
        """The newest, newest first."""
        query = select(_deliveries)
        if product is not None:
            query = query.where(_deliveries.c.product == product)
        if state is not None:
            query = query.where(_deliveries.c.state == state)
        with self._database.transaction(writes=False) as connection:
            found = connection.execute(query.order_by(_deliveries.c.received.desc()).limit(most))
            return tuple(map(_delivery, found))

    def find(self, mark: str) -> Delivery | None:
        """None for one that was never accepted, or is forgotten."""
        with self._database.transaction(writes=False) as connection:
            row = connection.execute(select(_deliveries).where(_deliveries.c.mark == mark)).one_or_none()
        return None if row is None else _delivery(row)

    def forget(self, now: datetime) -> int:
        """Forget what is so old that no repetition of it is fresh, and does not wait; how many."""
        old = (_deliveries.c.received < (now - KEPT_FOR).timestamp()) & (_deliveries.c.state != State.WAITING)
        with self._database.transaction() as connection:
            return connection.execute(delete(_deliveries).where(old)).rowcount

    def seen(self, product: str, rule: str) -> Seen | None:
        """Of which versions a rule was true when the registry was looked at last; None: never."""
        with self._database.transaction(writes=False) as connection:
            row = _seen_row(connection, product, rule)
        return None if row is None else Seen(_versions(row.versions), datetime.fromtimestamp(row.at, UTC))

    def looked(self, product: str, rule: str, versions: frozenset[int], at: datetime, found: Sequence[Delivery]) -> int:
        """The registry was looked at; `found` are changes that nobody delivered. Both are kept, or neither.

        What was delivered after all while it was looked at is left out; returns how many of `found` were not.
        """
        with self._database.transaction() as connection:
            row = _seen_row(connection, product, rule)
            known = frozenset[int]() if row is None else _versions(row.versions)
            if rows := [_row(each) for each in found if each.wish.version not in known]:
                connection.execute(insert(_deliveries), rows)
            _write_seen(connection, product, rule, versions, at)
        return len(rows)


def _waiting(connection: Connection) -> Mapping[str, int]:
    query = select(_deliveries.c.product, func.count()).where(_deliveries.c.state == State.WAITING)
    return dict(connection.execute(query.group_by(_deliveries.c.product)).tuples().all())


def _known(connection: Connection, marks: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(marks), _ASKED_AT_ONCE):
        some = marks[start : start + _ASKED_AT_ONCE]
        found |= set(connection.execute(select(_deliveries.c.mark).where(_deliveries.c.mark.in_(some))).scalars())
    return found


def _found_by_look(connection: Connection, each: Delivery) -> bool:
    """Whether a look at the registry was faster than this delivery of the same change."""
    if not _is_of_registry(each):
        return False
    table = _deliveries.c
    same = (table.product == each.product) & (table.rule == each.wish.rule) & (table.version == each.wish.version)
    later = table.delivery.startswith(FOUND) & (table.received >= each.wish.at.timestamp())
    return connection.execute(select(table.mark).where(same & later).limit(1)).first() is not None


def _add_seen(connection: Connection, each: Delivery) -> None:
    """Deliveries may overtake each other: an alias stands where the newest of them says."""
    version, table = each.wish.version, _deliveries.c
    if not _is_of_registry(each) or version is None:
        return
    before = frozenset[int]()
    if each.wish.rule.startswith("alias:"):
        same = (table.product == each.product) & (table.rule == each.wish.rule)
        newer = select(table.mark).where(same & (table.since > each.since.timestamp())).limit(1)
        if connection.execute(newer).first() is not None:
            return
    elif row := _seen_row(connection, each.product, each.wish.rule):
        before = _versions(row.versions)
    _write_seen(connection, each.product, each.wish.rule, before | {version}, each.received)


def _is_of_registry(each: Delivery) -> bool:
    return ":" in each.wish.rule


def _seen_row(connection: Connection, product: str, rule: str) -> Row[Any] | None:
    query = select(_seen).where(_seen.c.product == product, _seen.c.rule == rule)
    return connection.execute(query).one_or_none()


def _write_seen(connection: Connection, product: str, rule: str, versions: frozenset[int], at: datetime) -> None:
    of = (_seen.c.product == product) & (_seen.c.rule == rule)
    values = {"versions": ",".join(map(str, sorted(versions))), "at": at.timestamp()}
    if not connection.execute(update(_seen).where(of).values(values)).rowcount:
        connection.execute(insert(_seen).values(product=product, rule=rule, **values))


def _versions(text: str) -> frozenset[int]:
    return frozenset(int(each) for each in text.split(",") if each)


def _row(each: Delivery) -> dict[str, Any]:
    return {
        "mark": each.mark,
        "source": each.source,
        "product": each.product,
        "delivery": each.delivery,
        "action": each.wish.action,
        "version": each.wish.version,
        "rule": each.wish.rule,
        "reason": each.wish.reason,
        "since": each.since.timestamp(),
        "received": each.received.timestamp(),
        "state": each.state,
        "tries": each.tries,
        "why": each.why,
        "run": each.run,
    }


def _delivery(row: Row[Any]) -> Delivery:
    since = datetime.fromtimestamp(row.since, UTC)
    return Delivery(
        row.mark,
        row.source,
        row.product,
        row.delivery,
        Wish(Action(row.action), row.version, row.rule, row.reason, since),
        since,
        datetime.fromtimestamp(row.received, UTC),
        State(row.state),
        row.tries,
        row.why,
        row.run,
    )
