"""The server's log: one JSON object a line, with what happened and where; never a request, an answer or a row."""

import logging
import sys
import traceback
from datetime import UTC, datetime

import orjson

_LOGGER = logging.getLogger("seatrial.serving")


def log_as_json() -> None:
    """Everything that this process logs goes to standard output as JSON lines; of libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    _LOGGER.setLevel(logging.INFO)
    # Else whoever sends what is not HTTP could fill the disk, a line each.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def say(event: str, **fields: str | int | float) -> None:
    """Logs that something happened."""
    _LOGGER.info(event, extra={"fields": fields})


def complain(event: str, **fields: str | int | float) -> None:
    """Logs that something went wrong."""
    _LOGGER.error(event, extra={"fields": fields})


def place_of(error: BaseException) -> str:
    """Kind of an error and the line it comes from; not its message, in which libraries like to quote the data."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


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
