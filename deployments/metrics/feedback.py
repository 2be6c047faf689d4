"""What users said of answers: business metrics and the truth, kept by the id of the request that they are about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
)
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError

from deployments.analysis.evidence import Counts, Sums
from deployments.analysis.readings import Source
from deployments.database import Database
from deployments.errors import PlatformUnreachable
from deployments.metrics.protocol import UNLIMITED, Ranges

LABEL: Final = "label"
_ASKED_AT_ONCE = 500

_schema = MetaData()
_values = Table(
    "feedback",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("metric", String(64), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("value", Float, nullable=False),
)
# Holds all that is summed up, so that the table itself need not be read for it.
Index("feedback_sums", _values.c.product, _values.c.version, _values.c.metric, _values.c.value)
_labels = Table(
    "labels",
    _schema,
    Column("product", String(40), primary_key=True),
    Column("request_id", String(128), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("label", String(128), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One value about the answer that `version` gave to a request; of metric `label` the truth, as text."""

    product: str
    version: int
    request_id: str
    metric: str
    value: float | str


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

    def store(self, items: Iterable[Feedback]) -> int:
        """Keep them, all or none, on the disk when this returns; the number of values that are now kept of them.

        Storing the same again changes nothing. A value stands as it first came, also within `items`: what a rollout was
        judged by does not change any more. A new label for the same product and request replaces the old one.
        """
        pushed = tuple(items)
        labels = {(item.product, item.request_id): _label_row(item) for item in pushed if item.metric == LABEL}
        first = (item for item in reversed(pushed) if item.metric != LABEL)
        values = {(item.product, item.metric, item.request_id): _value_row(item) for item in first}
        try:
            with self._database.transaction() as connection:
                _replace(connection, _labels, tuple(labels.values()))
                _add_new(connection, _values, tuple(values.values()))
        except IntegrityError:
            raise PlatformUnreachable("the same feedback was being stored by somebody else: send it again") from None
        return len(labels) + len(values)

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
        remaining, found = iter(request_ids), dict[str, str]()
        with self._database.transaction(writes=False) as connection:
            while some := tuple(islice(remaining, _ASKED_AT_ONCE)):
                mine = (_labels.c.product == product) & _labels.c.request_id.in_(some)
                found.update((row.request_id, row.label) for row in connection.execute(select(_labels).where(mine)))
        return found


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


def _replace(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    old = delete(table)
    for key in table.primary_key.columns:
        old = old.where(key == bindparam(f"the_{key.name}"))
    connection.execute(old, [{f"the_{name}": value for name, value in row.items()} for row in rows])
    connection.execute(insert(table), list(rows))


def _add_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Those of `rows` whose key is not there yet."""
    if not rows:
        return
    known = exists().where(*(key == bindparam(key.name) for key in table.primary_key.columns))
    row = select(*(cast(bindparam(column.name), column.type) for column in table.columns)).where(~known)
    connection.execute(insert(table).from_select(list(table.columns), row), list(rows))


def _label_row(item: Feedback) -> Mapping[str, Any]:
    return {"product": item.product, "request_id": item.request_id, "version": item.version, "label": str(item.value)}


def _value_row(item: Feedback) -> Mapping[str, Any]:
    return {
        "product": item.product,
        "metric": item.metric,
        "request_id": item.request_id,
        "version": item.version,
        "value": float(item.value),
    }
