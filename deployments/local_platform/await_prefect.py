"""`python -m deployments.local_platform.await_prefect`: ends once Prefect's API answers, or with 5 after ten minutes.

For what has to talk to a Prefect that may be starting in the same moment: a line a minute instead of tracebacks.
"""

import os
import sys
from collections.abc import Callable
from datetime import timedelta

import httpx

from deployments.clock import Clock, SystemClock

_LONGEST = timedelta(minutes=10)
_PAUSE, _EVERY = timedelta(seconds=2), 30
Answers = Callable[[], str]


def wait(address: str, why_not: Answers, clock: Clock, say: Callable[[str], None]) -> int:
    """The exit code. `why_not` is empty once Prefect answers; what keeps it from that is said once a minute."""
    until, asked = clock.monotonic() + _LONGEST.total_seconds(), 0
    while problem := why_not():
        if clock.monotonic() >= until:
            say(f"Prefect at {address} does not answer after {_LONGEST.total_seconds():g} s: {problem}")
            return 5
        if asked % _EVERY == 0:
            say(f"waiting for Prefect at {address}: {problem}")
        asked += 1
        clock.sleep(_PAUSE)
    return 0


def main() -> int:
    """By the settings of this process."""
    address = os.environ.get("PREFECT_API_URL", "")
    if not address:
        _say("PREFECT_API_URL names no Prefect: set it")
        return 2
    return wait(address, lambda: _why_not(address), SystemClock(), _say)


def _why_not(address: str) -> str:
    try:
        answer = httpx.get(f"{address.rstrip('/')}/health", timeout=5)
    except httpx.HTTPError as error:
        return f"{error or type(error).__name__}"
    # Whoever asks for a key, or has no such page (Prefect Cloud), answers.
    return f"HTTP {answer.status_code}" if answer.is_server_error else ""


def _say(what: str) -> None:
    print(what, flush=True)  # noqa: T201 - the program's log


if __name__ == "__main__":
    sys.exit(main())
