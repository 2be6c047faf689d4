"""The same answer to a request that is sent again: the header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key).

A request is kept before it is done, and its answer afterwards, so that neither a client that asks again nor a process
that dies in between does anything twice.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from deployments.database import Database, beside
from deployments.process_identity import Owner, this_process

HEADER: Final = "idempotency-key"
KEPT_FOR: Final = timedelta(days=1)
# For so long a process of which nothing can be known from here is taken to be at work still.
AT_WORK_FOR: Final = timedelta(seconds=30)
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")

_schema = MetaData()
_requests = Table(
    "api_requests",
    _schema,
    Column("mark", String(64), primary_key=True),
    Column("body", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Column("first", Float, nullable=False),
    Column("owner", String(255), nullable=False),  # who is at it, empty: nobody
    Column("status", Integer),
    Column("answer", Text),
)


class Known(Enum):
    """What is known of a request with this key."""

    NEW = auto()  # nothing: do it
    AGAIN = auto()  # it was begun and never answered: do it, unless it was done
    AT_WORK = auto()  # somebody is at it
    OTHER = auto()  # the key was used for another request


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered the first time."""

    status: int
    content: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A request that is to be done. `first` is when it was first asked for."""

    mark: str
    known: Known
    first: datetime


class Answers:
    """The requests of a day and their answers, in the journal's database or a file beside it. Safe for processes."""

    def __init__(self, url: str) -> None:
        self._database = Database(beside(url, "api"), _schema, "the record of requests")

    def close(self) -> None:
        """Let the database go."""
        self._database.close()

    def begin(self, mark: str, body: bytes, now: datetime) -> Begun | Answer:
        """Keep that this request is asked for; the answer if it was answered before."""
        digest = hashlib.sha256(body).hexdigest()
        new = {"mark": mark, "body": digest, "at": now.timestamp(), "first": now.timestamp()}
        new |= {"owner": str(this_process())}
        try:
            with self._database.transaction() as connection:
                connection.execute(delete(_requests).where(_requests.c.at < (now - KEPT_FOR).timestamp()))
                connection.execute(insert(_requests).values(new))
                return Begun(mark, Known.NEW, now)
        except IntegrityError:
            pass
        with self._database.transaction() as connection:
            row = connection.execute(select(_requests).where(_requests.c.mark == mark)).one_or_none()
            if row is None:  # given up at this moment
                return Begun(mark, Known.AT_WORK, now)
            if row.body != digest:
                return Begun(mark, Known.OTHER, now)
            if row.status is not None:
                return Answer(row.status, row.answer)
            since = datetime.fromtimestamp(row.at, UTC)
            if row.owner and Owner.parse(row.owner).keeps(since + AT_WORK_FOR, now):
                return Begun(mark, Known.AT_WORK, now)
            taken = {"at": now.timestamp(), "owner": str(this_process())}
            connection.execute(update(_requests).where(_requests.c.mark == mark).values(taken))
            return Begun(mark, Known.AGAIN, datetime.fromtimestamp(row.first, UTC))

    def answered(self, mark: str, answer: Answer) -> None:
        """Keep what was answered."""
        with self._database.transaction() as connection:
            values = {"status": answer.status, "answer": answer.content}
            connection.execute(update(_requests).where(_requests.c.mark == mark).values(values))

    def set_aside(self, mark: str) -> None:
        """Nobody is at it any more, and it is not known whether it was done: whoever asks again finds that out."""
        with self._database.transaction() as connection:
            connection.execute(update(_requests).where(_requests.c.mark == mark).values(owner=""))

    def give_up(self, mark: str) -> None:
        """Nothing was done: the same key may be used again at once, for anything."""
        with self._database.transaction() as connection:
            connection.execute(delete(_requests).where(_requests.c.mark == mark))


def is_key(text: str) -> bool:
    """Whether it can be one: up to 128 printable signs without spaces."""
    return _KEY.fullmatch(text) is not None


def mark_of(who: str, operation: str, product: str, key: str) -> str:
    """What tells one request from all others: who asks, for what, and the key that he chose."""
    return hashlib.sha256(json.dumps([who, operation, product, key]).encode()).hexdigest()
