"""Time as an argument: the only module that asks the machine what time it is, or sleeps.

Functions elsewhere take a `Clock`; tests hand in a `ManualClock`, on which waiting costs nothing.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A user's model, which runs in a process of ours, may replace what the module has.
_monotonic = time.monotonic


class Clock(Protocol):
    """What time it is, and how to wait."""

    def now(self) -> datetime:
        """Aware UTC time."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...

    def sleep(self, duration: timedelta) -> None:
        """Wait; a zero or negative duration returns at once."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Aware UTC time."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds on the machine's monotonic clock."""
        return _monotonic()

    def sleep(self, duration: timedelta) -> None:
        """Block this thread."""
        time.sleep(max(0.0, duration.total_seconds()))


class ManualClock:
    """A clock that moves only when somebody sleeps on it or calls `advance`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        """The time it was set to, plus everything slept."""
        return self._now

    def monotonic(self) -> float:
        """Seconds slept since it was made."""
        return self._elapsed

    def sleep(self, duration: timedelta) -> None:
        """Move the clock forward at once."""
        self.advance(max(timedelta(0), duration))

    def advance(self, duration: timedelta) -> None:
        """Move the clock forward at once."""
        self._now += duration
        self._elapsed += duration.total_seconds()
