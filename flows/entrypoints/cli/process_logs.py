"""Reading the log files of the platform's processes, and what pods of a cluster wrote."""

import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from deployments import wiring
from deployments.errors import NotFound
from deployments.settings import current

_POD = re.compile(r"model-(?P<product>.+)-v[0-9]+-[a-z0-9-]+")


def log_names() -> list[str]:
    """Processes that have written a log in this home."""
    return sorted(path.stem for path in current().logs.glob("*.log"))


def last_lines(name: str, count: int) -> list[str]:
    """The last `count` lines of a process' log, or of a pod's. Raises `NotFound` that names those there are."""
    pod = _POD.fullmatch(name)
    if pod and name not in log_names() and (said := wiring.pod_log(pod["product"], name, count)):
        return said.splitlines()
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
        raise NotFound(
            f"no log of {name!r} in {current().logs} (there: {', '.join(log_names()) or 'none yet'}); "
            "of a pod that has written nothing `kubectl describe pod` tells more"
        )
    return path
