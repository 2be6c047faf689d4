"""What users said of answers: business metrics and the truth, kept by the id of the request that they are about."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Select, Table, func, select
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from deployments.analysis.counter_deltas import Source
from deployments.analysis.evidence import Counts, Sums
from deployments.database import Database, beside
from deployments.errors import PlatformUnreachable
from deployments.inference_log_reader import Log, LoggedAnswer
from deployments.metrics.feedback import pending_by_user, tables
from deployments.metrics.feedback.pending_by_user import KeyedFeedback
from deployments.metrics.feedback.tables import Feedback
from deployments.metrics.protocol import UNLIMITED, Ranges

__all__ = ["Feedback", "FeedbackLedger", "UserOf"]

_ASKED_AT_ONCE = 500

# Product and sticky key to what stands for the user.
UserOf = Callable[[str, str], str]


def _nobody(_product: str, _key: str) -> str:
    return ""


class FeedbackLedger:
    """Feedback in a SQL database, at most one value for each metric of a request.

    It is kept in the journal's database; where that is a file of SQLite, in another one beside it, `…-feedback.db`.
    Every method raises `DiskFull`, `PlatformUnreachable` or `BadInput` as `deployments.database` does.
    """

    def __init__(self, journal: str) -> None:
        # SQLite lets one write at a time, and a rollout must not wait until the users' feedback is written.
        self._database = Database(beside(journal, "feedback"), pending_by_user.schema, "the feedback ledger")

    def close(self) -> None:
        """Let the database's connections go."""
        self._database.close()

    def store(self, items: Iterable[Feedback | KeyedFeedback]) -> int:
        """Keep them, all or none, on the disk when this returns; the number of values that are now kept of them.

        Storing the same again changes nothing. A newer label for the same product and request replaces the old one. Of
        any other metric the sums keep the value that came first, also within `items`, for what a rollout was judged by
        does not change any more; the newest stands beside it. What goes by a key waits for `settle`, and raises
        `NoRoomToWait` where too much of its product does already.
        """
        pushed = tuple(items)
        with self._storing() as connection:
            waiting = pending_by_user.keep(connection, (item for item in pushed if isinstance(item, KeyedFeedback)))
            return waiting + tables.keep(connection, [item for item in pushed if isinstance(item, Feedback)])

    def waiting(self, now: datetime) -> Sequence[str]:
        """Products of which feedback by key is to be settled."""
        with self._database.transaction(writes=False) as connection:
            return pending_by_user.products_due(connection, now)

    def settle(self, product: str, log: Log, now: datetime, user_of: UserOf = _nobody) -> Sequence[KeyedFeedback]:
        """Finds the answers that feedback by key is about, for at most 1,000 that it is time for, and stores it.

        Returns those for which there was none for a day: they are forgotten. What is cut short is done again by the
        next call. Raises whatever reading the log does, too.
        """
        with self._database.transaction(writes=False) as connection:
            items = pending_by_user.due(connection, product, now)
        settled = tuple(pending_by_user.settle(items, product, log, now))
        found = [_found(each.item, each.found, user_of) for each in settled if each.found is not None]
        with self._storing() as connection:
            tables.keep(connection, found)
            pending_by_user.close(connection, settled)
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
        with self._database.transaction(writes=False) as connection:
            return tables.sums(connection, product, ranges)

    def counts(self, product: str, ranges: Ranges = UNLIMITED) -> Mapping[Source, Counts]:
        """The sums, as a part of a `Reading`."""
        return {
            Source(version, "feedback"): Counts(feedback=metrics)
            for version, metrics in self.sums(product, ranges).items()
        }

    def labels(self, product: str, request_ids: Sequence[str]) -> Mapping[str, str]:
        """The truth as text, by request id; ids without a label are left out."""
        table = tables.labels
        query = select(table.c.request_id, table.c.label).where(table.c.product == product)
        return dict(self._asked(query, table, request_ids))

    def latest(self, product: str, metric: str, request_ids: Sequence[str]) -> Mapping[str, float]:
        """The newest value of a metric, corrections included, by request id; ids without one are left out."""
        found: dict[str, float] = {}
        for table in (tables.beside, tables.values):
            newest = func.coalesce(table.c.latest, table.c.value)
            query = select(table.c.request_id, newest).where(table.c.product == product, table.c.metric == metric)
            found |= dict(self._asked(query, table, request_ids))
        return found

    def numbers(self) -> Mapping[tuple[str, str], int]:
        """How many values are kept one by one, by product and metric. Takes long where there are many."""
        with self._database.transaction(writes=False) as connection:
            return tables.numbers(connection)

    def products(self) -> Sequence[str]:
        """Products of which something is kept."""
        with self._database.transaction(writes=False) as connection:
            return tables.products(connection)

    def fold(self, product: str, before: datetime, ranges: Ranges = UNLIMITED) -> int:
        """Sums up some values from before that moment, and forgets some labels; how many. To be repeated until it is 0.

        `ranges` are those by which the product is judged: its sums stay what they are.
        """
        with self._storing() as connection:
            return tables.fold(connection, product, before, ranges)

    def _asked(self, query: Select[Any], table: Table, request_ids: Sequence[str]) -> Iterator[tuple[str, Any]]:
        remaining = iter(request_ids)
        with self._database.transaction(writes=False) as connection:
            while some := tuple(islice(remaining, _ASKED_AT_ONCE)):
                yield from connection.execute(query.where(table.c.request_id.in_(some))).tuples()


def _found(item: KeyedFeedback, answer: LoggedAnswer, user_of: UserOf) -> Feedback:
    user = user_of(item.product, item.key)
    return Feedback(
        item.product, answer.version, answer.request_id, item.metric, item.value, item.at, answer.time, user
    )
