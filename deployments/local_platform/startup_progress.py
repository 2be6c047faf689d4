"""Which products serve again after a start, told as they come."""

import contextlib
import http.client
from collections.abc import Callable, Collection
from datetime import timedelta
from math import inf
from typing import Final

from deployments.clock import Clock
from deployments.errors import TargetUnreachable
from deployments.settings import Settings
from deployments.supervision import Supervisor
from deployments.targets.process import ProcessTarget, served_by

# To ask takes time of the servers that start.
_LOOK_EVERY: Final = timedelta(seconds=0.5)
# A line for each product would hide the others; one a while does.
_TELL_EVERY: Final = timedelta(seconds=2)
_MOST_NAMED: Final = 5


class ProductsUp:
    """Counts the products of which a server answers; of those that have servers on this machine."""

    def __init__(self, supervisor: Supervisor, settings: Settings, tell: Callable[[str], None], clock: Clock) -> None:
        self._supervisor, self._tell, self._clock = supervisor, tell, clock
        self._target = ProcessTarget(supervisor, settings)
        self._waiting = self._with_servers()
        self._all, self._new, self._looked = len(self._waiting), set[str](), -inf
        self._told = clock.monotonic() - _TELL_EVERY.total_seconds()

    @property
    def count(self) -> int:
        """How many products serve."""
        return self._all - len(self._waiting)

    @property
    def missing(self) -> tuple[str, ...]:
        """Products of which no server answered so far."""
        return tuple(sorted(self._waiting))

    def look(self) -> None:
        """Asks the servers of those that did not answer yet, twice a second, and tells who is new."""
        now = self._clock.monotonic()
        if not self._waiting or now - self._looked < _LOOK_EVERY.total_seconds():
            return
        self._looked = now
        with contextlib.suppress(TargetUnreachable, OSError, http.client.HTTPException):
            self._new |= (came := self._target.serving(self._waiting))
            self._waiting -= came
        if self._new and (not self._waiting or now - self._told >= _TELL_EVERY.total_seconds()):
            self._tell(f"products      {self.count} of {self._all} serve: {_shown(self._new)}")
            self._told, self._new = now, set()

    def end(self) -> None:
        """Tells who is missing, once nothing else is waited for."""
        self._looked = -inf
        self.look()
        if self._waiting:
            self._tell(f"products      {self.count} of {self._all} serve; to come: {_shown(self._waiting)}")

    def _with_servers(self) -> set[str]:
        with contextlib.suppress(TargetUnreachable):
            return {product for name in self._supervisor.known() if (product := served_by(name))}
        return set()


def _shown(products: Collection[str]) -> str:
    rest = len(products) - _MOST_NAMED
    return ", ".join(sorted(products)[:_MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")
