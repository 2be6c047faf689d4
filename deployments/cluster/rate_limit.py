"""How fast one process asks one API server: a bucket of tokens, as controllers of Kubernetes have it."""

import threading
from datetime import timedelta
from functools import lru_cache
from math import inf
from typing import Final

from deployments.clock import Clock, SystemClock

# What controllers are commonly given: requests a second, and at once after a rest.
RATE: Final = 50.0
BURST: Final = 100


class Pace:
    """Lets `burst` requests through at once after a rest, and `rate` a second in the long run, in their order."""

    def __init__(self, rate: float = RATE, burst: int = BURST, clock: Clock | None = None) -> None:
        self._rate, self._burst, self._clock = rate, burst, clock or SystemClock()
        self._lock = threading.Lock()
        # When every token that was taken so far will have come in again.
        self._full_at = -inf

    def wait(self) -> None:
        """Returns when the next request may be sent. Whoever waits keeps nobody from taking the turn after it."""
        with self._lock:
            now = self._clock.monotonic()
            self._full_at = max(self._full_at, now) + 1 / self._rate
            left = self._full_at - self._burst / self._rate - now
        if left > 0:
            self._clock.sleep(timedelta(seconds=left))


def pace_of(address: str, process: int) -> Pace:
    """The one of an API server in this process; a fork has its own, for a lock may be held while it is made."""
    return _kept(address, process, RATE, BURST)


# By all that it is made of: tests and simulations have other numbers, and a later server may have the same address.
@lru_cache(maxsize=256)
def _kept(_address: str, _process: int, rate: float, burst: int) -> Pace:
    return Pace(rate, burst)
