"""Saying again, at sensible intervals, what is waited for."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from deployments.clock import Clock

# After the wait began; from then on every _EVERY.
AT_ONCE: Final = (timedelta(0), *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10)))
# For what is mostly over in seconds.
SOON: Final = (timedelta(seconds=10), *AT_ONCE[1:])
_EVERY: Final = timedelta(minutes=15)


@dataclass(slots=True)
class Reminder:
    """When to say it: on the first question about something, and later at growing intervals."""

    _what: Hashable = None
    _began: float = 0.0
    _next: timedelta = timedelta(0)

    def due(self, what: Hashable, monotonic: float, schedule: tuple[timedelta, ...] = AT_ONCE) -> bool:
        """Whether to say now that `what` is waited for; each time that it is due, once."""
        if what != self._what:
            self._what, self._began, self._next = what, monotonic, schedule[0]
        waited = timedelta(seconds=monotonic - self._began)
        if waited < self._next:
            return False
        later = (point for point in schedule if point > waited)
        self._next = next(later, schedule[-1] + _EVERY * ((waited - schedule[-1]) // _EVERY + 1))
        return True


@dataclass(frozen=True, slots=True)
class SpeakingClock:
    """A clock that lets somebody speak after every sleep of whoever waits by it."""

    clock: Clock
    speak: Callable[[], None]

    def now(self) -> datetime:
        """See `Clock`."""
        return self.clock.now()

    def monotonic(self) -> float:
        """See `Clock`."""
        return self.clock.monotonic()

    def sleep(self, duration: timedelta) -> None:
        """See `Clock`."""
        self.clock.sleep(duration)
        self.speak()
