"""Which products serve again after a start, told as they come."""

import contextlib
import http.client
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from deployments.clock import Clock
from deployments.errors import TargetUnreachable
from deployments.settings import Settings
from deployments.supervision import Supervisor
from deployments.targets.process import ProcessTarget, served_by

# A line for each product would hide the others; one a while does.
_EVERY: Final = timedelta(seconds=2)
_MOST_NAMED: Final = 5


class ProductsUp:
    """Counts the products of which a server answers; of those that have servers on this machine."""

    def __init__(self, supervisor: Supervisor, settings: Settings, tell: Callable[[str], None], clock: Clock) -> None:
        self._supervisor, self._tell, self._clock = supervisor, tell, clock
        self._target = ProcessTarget(supervisor, settings)
        self._waiting = self._with_servers()
        self._all, self._told, self._told_at = len(self._waiting), 0, clock.monotonic() - _EVERY.total_seconds()

    @property
    def count(self) -> int:
        """How many products serve."""
        return self._all - len(self._waiting)

    @property
    def missing(self) -> tuple[str, ...]:
        """Products of which no server answered so far."""
        return tuple(sorted(self._waiting))

    def look(self) -> None:
        """Asks the servers of those that did not answer yet, and tells when there is something new."""
        if not self._waiting:
            return
        with contextlib.suppress(TargetUnreachable, OSError, http.client.HTTPException):
            self._waiting -= self._target.serving(self._waiting)
        now = self._clock.monotonic()
        if self.count > self._told and (not self._waiting or now - self._told_at >= _EVERY.total_seconds()):
            self._told, self._told_at = self.count, now
            self._tell(f"products      {self.count} of {self._all} serve")

    def end(self) -> None:
        """Tells who is missing, once nothing else is waited for."""
        self.look()
        if self._waiting:
            rest = len(self._waiting) - _MOST_NAMED
            shown = ", ".join(self.missing[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
            self._tell(f"products      {self.count} of {self._all} serve; to come: {shown}")

    def _with_servers(self) -> set[str]:
        with contextlib.suppress(TargetUnreachable):
            return {product for name in self._supervisor.known() if (product := served_by(name))}
        return set()
