"""Waiting for a Prefect that is starting, with a line now and then."""

from datetime import timedelta

from deployments.clock import ManualClock
from deployments.local_platform.await_prefect import wait


def test_it_ends_once_prefect_answers_and_says_why_it_waits_once_a_minute() -> None:
    clock, said = ManualClock(), []

    def why_not() -> str:
        return "" if clock.monotonic() >= 100 else "connection refused"

    assert wait("http://prefect/api", why_not, clock, said.append) == 0
    assert said == ["waiting for Prefect at http://prefect/api: connection refused"] * 2


def test_it_gives_up_after_ten_minutes_with_the_reason() -> None:
    clock, said = ManualClock(), []
    assert wait("http://prefect/api", lambda: "HTTP 503", clock, said.append) == 5
    assert said[-1] == "Prefect at http://prefect/api does not answer after 600 s: HTTP 503"
    assert clock.monotonic() <= timedelta(minutes=10).total_seconds()
