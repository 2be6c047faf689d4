"""Feedback by a user's key: it waits until the inference log tells which answer it is about."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import Connection

from deployments.errors import TryAgain
from deployments.inference_log_reader import Log, LoggedAnswer, days_between, newest_answers
from deployments.metrics.class_labels import LABEL
from deployments.plurals import counted

# How old an answer may be that feedback by key is about.
ANSWERED_WITHIN: Final = timedelta(days=7)
# How long feedback waits for the log of a server that cannot write it.
PATIENCE: Final = timedelta(days=1)
# Of one product; no other one's feedback can take these places.
MOST_WAITING: Final = 20_000
_AT_ONCE = 1_000
# Of which the log is read in one look, so that nobody's odd times make it long for all.
_MOST_DAYS: Final = 32
_PLACE = ("product", "metric", "key", "at")
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
_WRITING = timedelta(seconds=5)

schema = MetaData()
_waiting = Table(
    "keyed_feedback",
    schema,
    Column("product", String(40), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("at", Float, primary_key=True),
    Column("value", String(128), nullable=False),
    Column("received", Float, nullable=False),
    Column("due", Float, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
)


class NoRoomToWait(TryAgain):
    """So much feedback by key of `product` waits already that no more of it is taken now."""

    delay = timedelta(minutes=1)

    def __init__(self, product: str, waiting: int) -> None:
        pieces = counted(waiting, "piece", "pieces")
        waits = "waits" if waiting == 1 else "wait"
        super().__init__(f"{pieces} of feedback on {product} {waits} for its log already: send these later")
        self.product = product


@dataclass(frozen=True, slots=True)
class KeyedFeedback:
    """One value about the newest answer that a user got until `at`. `received` is when it came."""

    product: str
    key: str
    metric: str
    value: float | str
    at: datetime
    received: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of feedback whose turn it was: `found` goes with its answer, None has waited long enough."""

    item: KeyedFeedback
    tries: int
    found: LoggedAnswer | None
    next_try: datetime | None


def keep(connection: Connection, items: Iterable[KeyedFeedback]) -> int:
    """Lets them wait; the same key, metric and time again replaces the former value.

    Returns how many. Raises `NoRoomToWait` for a product of which too many wait already.
    """
    rows = {(each.product, each.metric, each.key, each.at): _row(each) for each in items}
    if not rows:
        return 0
    connection.execute(_these(delete(_waiting)), [_place(row) for row in rows.values()])
    for product, more in Counter(product for product, *_ in rows).items():
        mine = select(func.count()).select_from(_waiting).where(_waiting.c.product == product)
        number = connection.execute(mine).scalar_one()
        if number + more > MOST_WAITING:
            raise NoRoomToWait(product, number)
    connection.execute(insert(_waiting), list(rows.values()))
    return len(rows)


def products_due(connection: Connection, now: datetime) -> Sequence[str]:
    """Products of which some feedback has its turn."""
    return connection.execute(select(_waiting.c.product).where(_due(now)).distinct()).scalars().all()


def due(connection: Connection, product: str, now: datetime) -> Sequence[tuple[KeyedFeedback, int]]:
    """Those of a product whose turn it is, at most 1,000, and how often each was tried already."""
    turn = select(_waiting).where(_due(now), _waiting.c.product == product).order_by(_waiting.c.due).limit(_AT_ONCE)
    return [(_item(row), row.tries) for row in connection.execute(turn)]


def _due(now: datetime) -> ColumnElement[bool]:
    return _waiting.c.due <= now.timestamp()


def close(connection: Connection, settled: Sequence[Settled]) -> None:
    """Those with a `next_try` are tried then, the others wait no longer; what replaced one meanwhile still waits."""
    over = [_place(_row(each.item)) for each in settled if each.next_try is None]
    again = [
        _place(_row(each.item)) | {"next": each.next_try.timestamp(), "tried": each.tries + 1}
        for each in settled
        if each.next_try is not None
    ]
    if over:
        connection.execute(_these(delete(_waiting), "received"), over)
    if again:
        connection.execute(
            _these(update(_waiting), "received").values(due=bindparam("next"), tries=bindparam("tried")), again
        )


def settle(items: Sequence[tuple[KeyedFeedback, int]], product: str, log: Log, now: datetime) -> Iterator[Settled]:
    """Looks each up in the log of its product, once everything that was answered until its time must be there.

    Those whose days are too many for one look have their turn in the next.
    """
    complete = now - 2 * log.flush - _WRITING
    for item, tries in items:
        if item.at > complete:
            yield Settled(item, tries - 1, None, item.at + (now - complete))
    ripe = _of_few_days([each for each in items if each[0].at <= complete])
    answers = newest_answers(log.folder, product, [(item.key, item.at) for item, _ in ripe], ANSWERED_WITHIN)
    for (item, tries), answer in zip(ripe, answers, strict=True):
        over = answer is not None or now - item.received > PATIENCE
        pause = min(_FIRST_PAUSE * 2 ** min(tries, 20), _LONGEST_PAUSE)
        yield Settled(item, tries, answer, None if over else now + pause)


def _of_few_days(items: Sequence[tuple[KeyedFeedback, int]]) -> list[tuple[KeyedFeedback, int]]:
    """Those of `items` whose answers lie in at most 32 days together, the newest before all others."""
    days: set[date] = set()
    chosen = []
    for each in sorted(items, key=lambda each: each[0].at, reverse=True):
        more = {*days, *days_between(each[0].at - ANSWERED_WITHIN, each[0].at)}
        if len(more) <= _MOST_DAYS:
            days = more
            chosen.append(each)
    return chosen


def _these(statement: Any, *more: str) -> Any:
    for name in (*_PLACE, *more):
        statement = statement.where(_waiting.c[name] == bindparam(f"the_{name}"))
    return statement


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {f"the_{name}": row[name] for name in (*_PLACE, "received")}


def _row(item: KeyedFeedback) -> dict[str, Any]:
    received = item.received.timestamp()
    return {
        "product": item.product,
        "metric": item.metric,
        "key": item.key,
        "at": item.at.timestamp(),
        "value": repr(item.value) if isinstance(item.value, float) else item.value,
        "received": received,
        "due": received,
        "tries": 0,
    }


def _item(row: Any) -> KeyedFeedback:
    value = row.value if row.metric == LABEL else float(row.value)
    at, received = (datetime.fromtimestamp(seconds, UTC) for seconds in (row.at, row.received))
    return KeyedFeedback(row.product, row.key, row.metric, value, at, received)
