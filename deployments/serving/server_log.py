"""The server's log: one JSON object a line, with what happened and where; never a request, an answer or a row."""

import logging
import sys
from datetime import UTC, datetime

import orjson

from deployments.serving.data_plane import ModelFault

_LOGGER = logging.getLogger("seatrial.serving")


def log_as_json() -> None:
    """Everything that this process logs goes to standard output as JSON lines; of libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.INFO)
    # Else whoever sends what is not HTTP could fill the disk, a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def log_event(event: str, **fields: str | int | float) -> None:
    """Logs that something happened."""
    _LOGGER.info(event, extra={"fields": fields})


def log_failure(event: str, **fields: str | int | float) -> None:
    """Logs that something went wrong."""
    _LOGGER.error(event, extra={"fields": fields})


def place_of(error: BaseException) -> str:
    """Kind of an error and the line it comes from; not its message, in which libraries like to quote the data.

    Of a `ModelFault`, that of what it stands for. Whatever a model has raised, this does not fail.
    """
    error = error.__cause__ if isinstance(error, ModelFault) and error.__cause__ is not None else error
    try:
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        where = f" at {last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last is not None else ""
        return f"{type(error).__name__}{where}"
    except Exception:  # noqa: BLE001 - a class may have what name it likes, and memory may be gone
        return "an error that cannot be told"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = place_of(record.exc_info[1])
        return orjson.dumps(line).decode()
