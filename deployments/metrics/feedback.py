"""What users said of answers: business metrics and the truth, kept by the id of the request that they are about."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    Select,
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
    update,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError

from deployments.analysis.evidence import Counts, Sums
from deployments.analysis.readings import Source
from deployments.database import Database
from deployments.errors import PlatformUnreachable
from deployments.inference_logs import Log, LoggedAnswer
from deployments.metrics import keyed
from deployments.metrics.keyed import KeyedFeedback
from deployments.metrics.labels import LABEL
from deployments.metrics.protocol import UNLIMITED, Ranges

_ASKED_AT_ONCE = 500

_schema = keyed.schema
_values = Table(
    "feedback",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("value", Float, nullable=False),
    Column("latest", Float),
    Column("at", Float),
)
_THE_TIME = bindparam("the_at", type_=Float)
# Holds all that is summed up, so that the table itself need not be read for it.
Index("feedback_sums", _values.c.product, _values.c.version, _values.c.metric, _values.c.value)
_labels = Table(
    "labels",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("label", String(128), nullable=False),
    Column("at", Float),
)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One value about the answer that `version` gave to a request; of metric `label` the truth, as text.

    `at` is when it became known: a correction replaces what is older, in whichever order they come. Among those with
    the same time, or without one, the one that comes last does.
    """

    product: str
    version: int
    request_id: str
    metric: str
    value: float | str
    at: datetime | None = None


class FeedbackLedger:
    """Feedback in a SQL database, at most one value for each metric of a request.

    It is kept in the journal's database; where that is a file of SQLite, in another one beside it, `…-feedback.db`.
    Every method raises `DiskFull`, `PlatformUnreachable` or `BadInput` as `deployments.database` does.
    """

    def __init__(self, journal: str) -> None:
        self._database = Database(_beside(journal), _schema, "the feedback ledger")

    def close(self) -> None:
        """Let the database's connections go."""
        self._database.close()

    def store(self, items: Iterable[Feedback | KeyedFeedback]) -> int:
        """Keep them, all or none, on the disk when this returns; the number of values that are now kept of them.

        Storing the same again changes nothing. A newer label for the same product and request replaces the old one. Of
        any other metric the sums keep the value that came first, also within `items`, for what a rollout was judged by
        does not change any more; the newest stands beside it. What goes by a key waits for `settle`.
        """
        pushed = tuple(items)
        with self._storing() as connection:
            waiting = keyed.keep(connection, (item for item in pushed if isinstance(item, KeyedFeedback)))
            return waiting + _keep(connection, [item for item in pushed if isinstance(item, Feedback)])

    def waiting(self, now: datetime) -> Sequence[str]:
        """Products of which feedback by key is to be settled."""
        with self._database.transaction(writes=False) as connection:
            return keyed.products_due(connection, now)

    def settle(self, product: str, log: Log, now: datetime) -> Sequence[KeyedFeedback]:
        """Finds the answers that feedback by key is about, for at most 1,000 that it is time for, and stores it.

        Returns those for which there was none for a day: they are forgotten. What is cut short is done again by the
        next call. Raises whatever reading the log does, too.
        """
        with self._database.transaction(writes=False) as connection:
            items = keyed.due(connection, product, now)
        settled = tuple(keyed.settle(items, product, log, now))
        with self._storing() as connection:
            _keep(connection, [_found(each.item, each.found) for each in settled if each.found is not None])
            keyed.close(connection, settled)
        return tuple(each.item for each in settled if each.next_try is None and each.found is None)

    @contextmanager
    def _storing(self) -> Iterator[Connection]:
        try:
            with self._database.transaction() as connection:
                yield connection
        except IntegrityError:
            raise PlatformUnreachable("the same feedback was being stored by somebody else: send it again") from None

    def sums(self, product: str, ranges: Ranges = UNLIMITED) -> Mapping[int, Mapping[str, Sums]]:
        """By version and metric, labels left out: how many values, their sum, and the sum of their squares.

        A value outside the range of its metric counts as the nearer end of it.
        """
        value = _within(ranges)
        query = (
            select(_values.c.version, _values.c.metric, func.count(), func.sum(value), func.sum(value * value))
            .where(_values.c.product == product)
            .group_by(_values.c.version, _values.c.metric)
        )
        found: dict[int, dict[str, Sums]] = {}
        with self._database.transaction(writes=False) as connection:
            for version, metric, count, total, squares in connection.execute(query):
                found.setdefault(version, {})[metric] = Sums(count, total, squares)
        return found

    def counts(self, product: str, ranges: Ranges = UNLIMITED) -> Mapping[Source, Counts]:
        """The sums, as a part of a `Reading`."""
        return {
            Source(version, "feedback"): Counts(feedback=metrics)
            for version, metrics in self.sums(product, ranges).items()
        }

    def labels(self, product: str, request_ids: Sequence[str]) -> Mapping[str, str]:
        """The truth as text, by request id; ids without a label are left out."""
        mine = _labels.c.product == product
        return dict(self._asked(select(_labels.c.request_id, _labels.c.label).where(mine), _labels, request_ids))

    def latest(self, product: str, metric: str, request_ids: Sequence[str]) -> Mapping[str, float]:
        """The newest value of a metric, corrections included, by request id; ids without one are left out."""
        mine = (_values.c.product == product) & (_values.c.metric == metric)
        value = func.coalesce(_values.c.latest, _values.c.value)
        return dict(self._asked(select(_values.c.request_id, value).where(mine), _values, request_ids))

    def _asked(self, query: Select[Any], table: Table, request_ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        remaining = iter(request_ids)
        with self._database.transaction(writes=False) as connection:
            while some := tuple(islice(remaining, _ASKED_AT_ONCE)):
                yield from connection.execute(query.where(table.c.request_id.in_(some))).tuples()


def _beside(journal: str) -> str:
    """SQLite lets one write at a time, and a rollout must not wait until the users' feedback is written."""
    try:
        url = make_url(journal)
    except ArgumentError:
        return journal  # whoever opens it says what is wrong
    if not url.drivername.startswith("sqlite") or url.database in {None, "", ":memory:"}:
        return journal
    file = Path(str(url.database))
    return url.set(database=str(file.with_name(f"{file.stem}-feedback{file.suffix}"))).render_as_string()


def _within(ranges: Ranges) -> ColumnElement[float]:
    metric, value = _values.c.metric, _values.c.value
    ends = [
        end
        for name, (low, high) in ranges.items()
        for end in (((metric == name) & (value < low), low), ((metric == name) & (value > high), high))
    ]
    return case(*ends, else_=value) if ends else value


def _found(item: KeyedFeedback, answer: LoggedAnswer) -> Feedback:
    return Feedback(item.product, answer.version, answer.request_id, item.metric, item.value, item.at)


def _keep(connection: Connection, items: Sequence[Feedback]) -> int:
    by_time = sorted(items, key=lambda item: math.inf if item.at is None else item.at.timestamp())
    labels = {(item.product, item.request_id): _label_row(item) for item in by_time if item.metric == LABEL}
    values = [item for item in items if item.metric != LABEL]
    first = {(item.product, item.metric, item.request_id): _value_row(item) for item in reversed(values)}
    _forget_older(connection, tuple(labels.values()))
    _add_new(connection, _labels, tuple(labels.values()))
    _add_new(connection, _values, tuple(first.values()))
    _correct(connection, [_value_row(item) for item in by_time if item.metric != LABEL])
    return len(labels) + len(first)


def _forget_older(connection: Connection, labels: Sequence[Mapping[str, Any]]) -> None:
    if labels:
        connection.execute(_where_older(delete(_labels), _labels), [_given(row) for row in labels])


def _correct(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        newer = update(_values).values(latest=bindparam("the_latest"), at=_THE_TIME)
        connection.execute(_where_older(newer, _values), [_given(row) for row in rows])


def _where_older(statement: Any, table: Table) -> Any:
    """Only rows that are to be replaced by the given one."""
    for column in table.primary_key.columns:
        statement = statement.where(column == bindparam(f"the_{column.name}"))
    return statement.where(or_(table.c.at.is_(None), _THE_TIME.is_(None), table.c.at <= _THE_TIME))


def _given(row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {f"the_{name}": value for name, value in row.items()}


def _add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Those of `rows` whose key is not there yet."""
    if not rows:
        return
    known = exists().where(*(key == bindparam(key.name) for key in table.primary_key.columns))
    row = select(*(cast(bindparam(column.name), column.type) for column in table.columns)).where(~known)
    connection.execute(insert(table).from_select(list(table.columns), row), list(rows))


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
