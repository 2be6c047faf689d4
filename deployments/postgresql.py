"""A PostgreSQL server that is waited for so long and no longer, whatever became of it."""

import os
import socket
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import create_engine, text
from sqlalchemy import event as hooks
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DisconnectionError

CONNECTING: Final = timedelta(seconds=10)
# Kept by the server itself: for another's lock, for one statement, and for a client that was stopped in the midst.
_BY_SERVER: Final = {
    "lock_timeout": timedelta(seconds=15),
    "statement_timeout": timedelta(seconds=20),
    "idle_in_transaction_session_timeout": timedelta(seconds=30),
}
# What is left is a server that is stopped or cut off, and says nothing at all.
_SILENCE: Final = timedelta(seconds=30)
_SIGN_OF_LIFE: Final = timedelta(seconds=5)
# Drivers over libpq, which take its options.
_LIBPQ: Final = frozenset({"psycopg", "psycopg2", "psycopg2cffi"})
_KEPT: Final = "kept"


def bounded_engine(
    url: URL, silence: timedelta = _SILENCE, sign_of_life: timedelta = _SIGN_OF_LIFE, connecting: timedelta = CONNECTING
) -> Engine:
    """An engine whose connections end once a transaction has had no end within `silence`, as by a lost server.

    One that was kept must give a sign of life first. What the URL says itself of `connect_timeout` is left as it is.
    """
    limited = url.get_driver_name() in _LIBPQ and "connect_timeout" not in url.query
    seconds = max(2, round(connecting.total_seconds()))  # libpq knows no less
    engine = create_engine(url, connect_args={"connect_timeout": seconds} if limited else {})

    @hooks.listens_for(engine, "checkout")
    def _begun(connection: Any, record: Any, _: Any) -> None:
        if _KEPT in record.info:
            record.info[_Deadline] = _Deadline(connection, sign_of_life)
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError(str(error)) from error
            finally:
                _lift(record)
        record.info[_KEPT] = True  # until this connection is replaced by another one
        record.info[_Deadline] = _Deadline(connection, silence)

    @hooks.listens_for(engine, "checkin")
    def _ended(_: Any, record: Any) -> None:
        _lift(record)

    @hooks.listens_for(engine, "begin")
    def _limited(connection: Connection) -> None:
        settings = ", ".join(f"set_config('{name}', '{limit.seconds}s', true)" for name, limit in _BY_SERVER.items())
        connection.execute(text(f"SELECT {settings}"))

    return engine


class _Deadline:
    """Ends the connection at a server's silence: whoever waits for an answer is told that there is none."""

    def __init__(self, connection: Any, limit: timedelta) -> None:
        self._lock, self._socket = threading.Lock(), None
        with suppress(AttributeError, OSError):  # a driver that has no such thing has time limits of its own
            # A number of our own: the driver's may stand for another connection by then.
            self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._timer = threading.Timer(limit.total_seconds(), self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def lift(self) -> None:
        """The answer came."""
        self._timer.cancel()
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket = None


def _lift(record: Any) -> None:
    deadline = record.info.pop(_Deadline, None)
    if deadline is not None:
        deadline.lift()
