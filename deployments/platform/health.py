"""Waiting until a part of the platform answers, and saying which log to read when it does not."""

from collections.abc import Callable
from datetime import timedelta

import httpx

from deployments.clock import Clock
from deployments.errors import PlatformUnreachable

_POLL = timedelta(milliseconds=100)


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether GET `url` gives 200 within `timeout` seconds."""
    try:
        return httpx.get(url, timeout=timeout, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(ready: Callable[[], bool], part: str, limit: timedelta, clock: Clock) -> None:
    """Return when `ready` says so; `PlatformUnreachable` with the place of the log after `limit`."""
    began = clock.monotonic()
    while not ready():
        if clock.monotonic() - began > limit.total_seconds():
            raise PlatformUnreachable(
                f"{part} does not answer after {limit.total_seconds():g} s: see `seatrial logs {part}`"
            )
        clock.sleep(_POLL)
