"""The stages of a server's start: its log says when each begins, so that a start that takes long says where."""

import contextlib
from pathlib import Path

from deployments.clock import Clock
from deployments.serving.server_log import log_event

# What `deployments.targets.exit_reason` looks for.
STARTING = "starting"


class Start:
    """Of a server of the model in `folder`; seconds count from when this is made."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock, self._began = clock, clock.monotonic()
        self._mb = round(_bytes_below(folder) / 1e6, 1)

    @property
    def seconds(self) -> float:
        """So far."""
        return self._clock.monotonic() - self._began

    def comes_to(self, stage: str) -> None:
        """What was begun before is done, and `stage` begins."""
        log_event(STARTING, stage=stage, seconds=round(self.seconds, 1), model_mb=self._mb)


def _bytes_below(folder: Path) -> int:
    """As far as files can be looked at: what is wrong with one is told by whoever reads it."""
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.lstat().st_size if path.is_file() else 0
    return size
