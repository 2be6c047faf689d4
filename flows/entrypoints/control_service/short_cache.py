"""What many watchers ask for at once, found once: an answer that is good for a moment."""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from deployments.clock import Clock

_MOST: Final = 500


@dataclass(slots=True)
class _Kept:
    turn: threading.Lock = field(default_factory=threading.Lock)
    found: Any = None
    until: float = float("-inf")


class ShortCache:
    """Keeps each answer for `lasts`. Whoever asks for one while it is found waits for it; errors are not kept."""

    def __init__(self, clock: Clock, lasts: timedelta) -> None:
        self._clock, self._lasts = clock, lasts.total_seconds()
        self._kept: dict[Hashable, _Kept] = {}
        self._turn = threading.Lock()

    def of(self, key: Hashable, find: Callable[[], Any]) -> Any:
        """The answer that is known by `key`, found by `find` unless it is known from a moment ago."""
        with self._turn:
            if len(self._kept) >= _MOST and key not in self._kept:
                self._kept.clear()
            kept = self._kept.setdefault(key, _Kept())
        with kept.turn:
            if self._clock.monotonic() >= kept.until:
                kept.found = find()
                kept.until = self._clock.monotonic() + self._lasts
            return kept.found
