"""Waiting until a part of the platform answers, and saying which log to read when it does not."""

from collections.abc import Callable
from datetime import timedelta

import httpx

from deployments.clock import Clock, SystemClock
from deployments.errors import PlatformUnreachable
from deployments.supervision import ProgramState, Supervisor

_POLL = timedelta(milliseconds=100)
_UNDECIDED = timedelta(seconds=5)


def answers(url: str, timeout: float = 2.0) -> bool:
    """Whether GET `url` gives 200 within `timeout` seconds."""
    try:
        return httpx.get(url, timeout=timeout, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def is_there(url: str, timeout: float = 5.0) -> bool:
    """Whether somebody takes requests at `url`: answers, whatever it is, or ends the connection himself."""
    try:
        httpx.get(url, timeout=timeout, trust_env=False)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return True
    except httpx.HTTPError:
        return False
    return True


def runs(supervisor: Supervisor, part: str, clock: Clock | None = None) -> bool:
    """Whether supervisord keeps the part running. Waits out the second after a start in which it cannot tell yet."""
    clock = clock or SystemClock()
    began = clock.monotonic()
    while (state := supervisor.state(part)) is ProgramState.STARTING:
        if clock.monotonic() - began > _UNDECIDED.total_seconds():
            return False
        clock.sleep(_POLL)
    return state is ProgramState.RUNNING


def wait_until(ready: Callable[[], bool], part: str, limit: timedelta, clock: Clock) -> None:
    """Return when `ready` says so; `PlatformUnreachable` with the place of the log after `limit`."""
    began = clock.monotonic()
    while not ready():
        if clock.monotonic() - began > limit.total_seconds():
            raise PlatformUnreachable(
                f"{part} does not answer after {limit.total_seconds():g} s: see `seatrial logs {part}`"
            )
        clock.sleep(_POLL)
