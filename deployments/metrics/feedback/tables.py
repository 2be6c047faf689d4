"""The tables of feedback, and what is written to them and read from them in one transaction.

One value counts for each product, metric and request, the first that came; of a user with a sticky key one a day and
version, for whoever is asked often must not weigh more. What does not count stands beside, for monitoring.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    String,
    Table,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.engine import Connection

from deployments.analysis.evidence import Sums
from deployments.metrics.class_labels import LABEL
from deployments.metrics.feedback import pending_by_user
from deployments.metrics.protocol import Ranges
from deployments.request_ids import LONGEST_ID

FOLDED_AT_ONCE: Final = 5_000
_DAY: Final = timedelta(days=1)


def _values_table(name: str) -> Table:
    return Table(
        name,
        pending_by_user.schema,
        Column("product", String(40), primary_key=True),
        Column("metric", String(64), primary_key=True),
        Column("request_id", String(LONGEST_ID), primary_key=True),
        Column("version", Integer, nullable=False),
        Column("value", Float, nullable=False),
        Column("latest", Float),
        Column("at", Float),
    )


values = _values_table("feedback")
beside = _values_table("feedback_beside")
# Holds all that is summed up, so that the table itself need not be read for it.
Index("feedback_sums", values.c.product, values.c.version, values.c.metric, values.c.value)
labels = Table(
    "labels",
    pending_by_user.schema,
    Column("product", String(40), primary_key=True),
    Column("request_id", String(LONGEST_ID), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("label", String(128), nullable=False),
    Column("at", Float),
)
# Which request of a user counts, by the day of its answer.
_users = Table(
    "feedback_users",
    pending_by_user.schema,
    Column("product", String(40), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("unit", String(16), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("request_id", String(LONGEST_ID), nullable=False),
)
# Sums of what has become too old to be kept one by one.
_past = Table(
    "feedback_past",
    pending_by_user.schema,
    Column("product", String(40), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("total", Float, nullable=False),
    Column("squares", Float, nullable=False),
)
_THE_TIME = bindparam("the_at", type_=Float)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One value about the answer that `version` gave to a request; of metric `label` the truth, as text.

    `at` is when it became known: a correction replaces what is older, in whichever order they come. Among those with
    the same time, or without one, the one that comes last does. `answered` is when the answer was given, None if nobody
    knows, and `user` stands for the one who got it: empty for somebody without a sticky key.
    """

    product: str
    version: int
    request_id: str
    metric: str
    value: float | str
    at: datetime | None = None
    answered: datetime | None = None
    user: str = ""


def keep(connection: Connection, items: Sequence[Feedback]) -> int:
    """How many values are now kept of `items`, whether they count or stand beside."""
    by_time = sorted(items, key=lambda item: math.inf if item.at is None else item.at.timestamp())
    truths = {(item.product, item.request_id): _label_row(item) for item in by_time if item.metric == LABEL}
    others = [item for item in items if item.metric != LABEL]
    first: dict[tuple[str, str, str], Feedback] = {}
    for item in others:
        first.setdefault((item.product, item.metric, item.request_id), item)
    _forget_older(connection, tuple(truths.values()))
    _add_new(connection, labels, tuple(truths.values()))
    _add_new(connection, _users, [_user_row(item) for item in first.values() if _is_of_a_user(item)])
    _add_values(connection, tuple(first.values()))
    _correct(connection, [_value_row(item) for item in by_time if item.metric != LABEL])
    return len(truths) + len(first)


def sums(connection: Connection, product: str, ranges: Ranges) -> Mapping[int, Mapping[str, Sums]]:
    """By version and metric. One statement: what is summed up meanwhile is in one place or in the other."""
    value = _within(ranges)
    single = (
        select(
            values.c.version,
            values.c.metric,
            func.count().label("number"),
            func.sum(value).label("total"),
            func.sum(value * value).label("squares"),
        )
        .where(values.c.product == product)
        .group_by(values.c.version, values.c.metric)
    )
    past = select(_past.c.version, _past.c.metric, _past.c.number, _past.c.total, _past.c.squares).where(
        _past.c.product == product
    )
    both = union_all(single, past).subquery()
    query = select(
        both.c.version, both.c.metric, func.sum(both.c.number), func.sum(both.c.total), func.sum(both.c.squares)
    ).group_by(both.c.version, both.c.metric)
    found: dict[int, dict[str, Sums]] = {}
    for version, metric, count, total, squares in connection.execute(query):
        found.setdefault(version, {})[metric] = Sums(int(count), total, squares)
    return found


def numbers(connection: Connection) -> Mapping[tuple[str, str], int]:
    """How many values are kept one by one, by product and metric."""
    found: dict[tuple[str, str], int] = {}
    for table in (values, beside):
        query = select(table.c.product, table.c.metric, func.count()).group_by(table.c.product, table.c.metric)
        for product, metric, number in connection.execute(query):
            found[product, metric] = found.get((product, metric), 0) + number
    for product, number in connection.execute(select(labels.c.product, func.count()).group_by(labels.c.product)):
        found[product, LABEL] = number
    return found


def fold(connection: Connection, product: str, before: datetime, ranges: Ranges) -> int:
    """Sums up some 5,000 values older than `before`, and forgets what else is; how many it was. 0: nothing is left.

    A value outside its range is summed up as the nearer end, as it was counted. The sums of the product stay the same.
    """
    cut = before.timestamp()
    gone = connection.execute(
        _oldest(values, product, cut).returning(values.c.version, values.c.metric, values.c.value)
    )
    folded: dict[tuple[int, str], Sums] = {}
    number = 0
    for version, metric, value in gone:
        low, high = ranges.get(metric, (value, value))
        taken = min(max(value, low), high)
        place = version, metric
        folded[place] = folded.get(place, Sums()) + Sums(1, taken, taken * taken)
        number += 1
    for (version, metric), more in folded.items():
        _add_past(connection, product, version, metric, more)
    old_users = delete(_users).where(_users.c.product == product, _users.c.day < before.toordinal())
    connection.execute(old_users)
    return number + sum(connection.execute(_oldest(table, product, cut)).rowcount for table in (beside, labels))


def products(connection: Connection) -> Sequence[str]:
    """Products of which something is kept."""
    every = union_all(*(select(table.c.product).distinct() for table in (values, beside, labels))).subquery()
    return connection.execute(select(every.c.product).distinct()).scalars().all()


def _oldest(table: Table, product: str, cut: float) -> Any:
    key = tuple_(*table.primary_key.columns)
    old = or_(table.c.at < cut, table.c.at.is_(None))
    some = select(*table.primary_key.columns).where(table.c.product == product, old).limit(FOLDED_AT_ONCE)
    return delete(table).where(key.in_(some))


def _add_past(connection: Connection, product: str, version: int, metric: str, more: Sums) -> None:
    mine = (_past.c.product == product) & (_past.c.version == version) & (_past.c.metric == metric)
    added = {
        "number": _past.c.number + more.count,
        "total": _past.c.total + more.total,
        "squares": _past.c.squares + more.squares,
    }
    if not connection.execute(update(_past).where(mine).values(added)).rowcount:
        row = {"number": more.count, "total": more.total, "squares": more.squares}
        connection.execute(insert(_past).values(product=product, version=version, metric=metric, **row))


def _within(ranges: Ranges) -> ColumnElement[float]:
    metric, value = values.c.metric, values.c.value
    ends = [
        end
        for name, (low, high) in ranges.items()
        for end in (((metric == name) & (value < low), low), ((metric == name) & (value > high), high))
    ]
    return case(*ends, else_=value) if ends else value


def _forget_older(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(_where_older(delete(labels), labels), [_given(row) for row in rows])


def _correct(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    for table in (values, beside) if rows else ():
        newer = update(table).values(latest=bindparam("the_latest"), at=_THE_TIME)
        connection.execute(_where_older(newer, table), [_given(row) for row in rows])


def _where_older(statement: Any, table: Table) -> Any:
    """Only rows that are to be replaced by the given one."""
    for column in table.primary_key.columns:
        statement = statement.where(column == bindparam(f"the_{column.name}"))
    return statement.where(or_(table.c.at.is_(None), _THE_TIME.is_(None), table.c.at <= _THE_TIME))


def _given(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {f"the_{name}": value for name, value in row.items()}


def _add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Those of `rows` whose key is not there yet."""
    if rows:
        connection.execute(_insert_where(table, ~_is_in(table)), list(rows))


def _add_values(connection: Connection, items: Iterable[Feedback]) -> None:
    """Each where it belongs: among those that count, or beside them."""
    alone = [_value_row(item) for item in items if not _is_of_a_user(item)]
    _add_new(connection, values, alone)
    theirs = [
        {**_value_row(item), "the_unit": item.user, "the_day": _day(item)} for item in items if _is_of_a_user(item)
    ]
    if not theirs:
        return
    another = exists().where(
        *(_users.c[name] == bindparam(name) for name in ("product", "metric", "version")),
        _users.c.unit == bindparam("the_unit", type_=String),
        _users.c.day == bindparam("the_day", type_=Integer),
        _users.c.request_id != bindparam("request_id"),
    )
    connection.execute(_insert_where(values, ~_is_in(values), ~another), theirs)
    further = [{name: value for name, value in row.items() if not name.startswith("the_")} for row in theirs]
    connection.execute(_insert_where(beside, ~_is_in(beside), ~_is_in(values)), further)


def _is_in(table: Table) -> ColumnElement[bool]:
    return exists().where(*(key == bindparam(key.name) for key in table.primary_key.columns))


def _insert_where(table: Table, *conditions: ColumnElement[bool]) -> Any:
    row = select(*(cast(bindparam(column.name), column.type) for column in table.columns)).where(*conditions)
    return insert(table).from_select(list(table.columns), row)


def _is_of_a_user(item: Feedback) -> bool:
    return bool(item.user) and item.answered is not None


def _day(item: Feedback) -> int:
    return item.answered.toordinal() if item.answered else 0


def _user_row(item: Feedback) -> Mapping[str, Any]:
    return {
        "product": item.product,
        "metric": item.metric,
        "version": item.version,
        "unit": item.user,
        "day": _day(item),
        "request_id": item.request_id,
    }


def _label_row(item: Feedback) -> Mapping[str, Any]:
    return {
        "product": item.product,
        "request_id": item.request_id,
        "version": item.version,
        "label": str(item.value),
        "at": item.at.timestamp() if item.at else None,
    }


def _value_row(item: Feedback) -> Mapping[str, Any]:
    return {
        "product": item.product,
        "metric": item.metric,
        "request_id": item.request_id,
        "version": item.version,
        "value": float(item.value),
        "latest": float(item.value),
        "at": item.at.timestamp() if item.at else None,
    }
