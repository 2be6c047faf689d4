"""Reading the log files of the platform's processes."""

import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from deployments.errors import NotFound
from deployments.settings import current


def log_names() -> list[str]:
    """Processes that have written a log in this home."""
    return sorted(path.stem for path in current().logs.glob("*.log"))


def last_lines(name: str, count: int) -> list[str]:
    """The last `count` lines of a process' log. Raises `NotFound` that names those there are."""
    with _find(name).open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def follow_log(name: str, show: Callable[[str], None]) -> None:
    """Show lines as they come, until interrupted."""
    path = _find(name)
    position = path.stat().st_size
    while True:
        size = path.stat().st_size
        position = 0 if size < position else position  # rotated
        with path.open(encoding="utf-8", errors="replace") as file:
            file.seek(position)
            for line in file:
                show(line.rstrip("\n"))
            position = file.tell()
        time.sleep(0.3)


def _find(name: str) -> Path:
    path = current().logs / f"{name}.log"
    if name not in log_names():
        raise NotFound(f"no log of {name!r} in {current().logs} (there: {', '.join(log_names()) or 'none yet'})")
    return path
