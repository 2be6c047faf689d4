"""The door to MLflow: one way to connect, one place where its errors become ours."""

import contextlib
import errno
import logging
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from deployments.atomic_files import disk_full_errors
from deployments.errors import BadInput, DiskFull, NotFound, RegistryUnreachable, SeatrialError
from deployments.redaction import masked, without_secrets

_SQLITE: Final = "sqlite:///"
_FULL: Final = ("disk is full", os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT), os.strerror(errno.EFBIG))
_PASSING: Final = {
    "INTERNAL_ERROR",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "ABORTED",
    "CANCELLED",
}

# MLflow reads these when it is imported or called; what the operator set stays. Its own seven retries take minutes.
_MANNERS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "GIT_PYTHON_REFRESH": "quiet",
}


def prepare_mlflow() -> None:
    """No telemetry, no progress bars, few retries. Must run before the first import of mlflow; harmless afterwards."""
    for name, value in _MANNERS.items():
        os.environ.setdefault(name, value)
    # It warns with every model that the environment has no pip, which no server of ours needs.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


def connect(tracking_uri: str) -> Any:
    """An `MlflowClient` for `sqlite:///…` or an http server, with no global state set.

    Raises `RegistryUnreachable` at once for a database that cannot be opened (MLflow itself would try for 100 s).
    """
    prepare_mlflow()
    with translated_errors(tracking_uri):
        if (database := database_of(tracking_uri)) is not None:
            _open(database)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def database_of(tracking_uri: str) -> Path | None:
    """File of a `sqlite:///…` address; None for a server."""
    return Path(tracking_uri.removeprefix(_SQLITE)) if tracking_uri.startswith(_SQLITE) else None


def artifact_root(tracking_uri: str) -> str | None:
    """Where a new experiment keeps its files: `artifacts` beside a SQLite database; None leaves it to the server."""
    database = database_of(tracking_uri)
    return None if database is None else (database.resolve().parent / "artifacts").as_uri()


@contextlib.contextmanager
def translated_errors(tracking_uri: str) -> Iterator[None]:
    """Turns what MLflow, SQLAlchemy and the file system raise in the block into our errors.

    Not reachable → `RegistryUnreachable`, unknown → `NotFound`, no space → `DiskFull`, refused, or no driver for such a
    database → `BadInput`. A password in `tracking_uri` is in none of them, nor in their causes.
    """
    shown = masked(tracking_uri)
    try:
        with _naming_what_is_full(database_of(tracking_uri) or Path(shown)):
            yield
    except SeatrialError:
        raise
    except Exception as error:
        if (translated := _translated(error, tracking_uri)) is None:
            raise
        raise translated from (error if shown == tracking_uri else None)


@contextlib.contextmanager
def _naming_what_is_full(otherwise: Path) -> Iterator[None]:
    """Files are copied into the artifact store: the system says which one found no room, if it knows."""
    try:
        yield
    except OSError as error:
        place = error.filename2 or error.filename or otherwise
        with disk_full_errors(Path(str(place))):
            raise


def _open(database: Path) -> None:
    database.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection:
        connection.execute("PRAGMA schema_version")


def _translated(error: Exception, tracking_uri: str) -> SeatrialError | None:
    code = getattr(error, "error_code", None)
    shown = masked(tracking_uri)
    said = _first_line(without_secrets(str(error), tracking_uri).removeprefix(f"{code}: "))
    if any(sign in str(error) for sign in _FULL):
        return DiskFull(f"no space left for {shown}: free some room and run the same command again")
    if isinstance(error, ImportError):
        return BadInput(f"{shown} needs the package {error.name or said}: install it beside Seatrial")
    if code == "RESOURCE_DOES_NOT_EXIST":
        return NotFound(f"{said} (asked {shown}): check the name with `seatrial status`")
    if code in _PASSING or _is_of_a_database(error) or isinstance(error, OSError):
        return RegistryUnreachable(f"{shown} does not answer ({said}): see that it is up, then try again")
    if code is not None:
        return BadInput(f"{shown} refused ({code}): {said}")
    return None


def _is_of_a_database(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) or type(error).__module__.startswith("sqlalchemy.")


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0][:300]
