"""Whether a refusal is final: an API server that has just started refuses everybody until it has read its roles."""

from collections.abc import Callable
from typing import Final

from deployments.clock import Clock, SystemClock

# As long as any other part of the platform is waited for.
_PATIENCE_SECONDS: Final = 60.0


class Rights:
    """What one user may do, as far as it was tried. A right is a verb and a kind, or whatever is refused as one."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._worked: set[str] = set()
        self._refused_at: dict[str, float] = {}
        self._all_expected = False

    def expect_all(self) -> None:
        """Whoever did this work before had all rights that it needs: none of them is taken to be missing at once."""
        self._all_expected = True

    def worked(self, right: str) -> None:
        """It was allowed just now."""
        self._worked.add(right)
        self._refused_at.pop(right, None)

    def is_lost(self, right: str, is_starting: Callable[[], bool]) -> bool:
        """Whether asking again is no use, now that it was refused.

        What has worked once is asked for again for a minute. What never has is so only while the server says that it
        is starting, or if it is expected (see `expect_all`).
        """
        known = right in self._worked or self._all_expected or is_starting()
        since = self._refused_at.setdefault(right, self._clock.monotonic())
        return not known or self._clock.monotonic() - since >= _PATIENCE_SECONDS
