"""Big requests are answered at once only while requests of their size are known to be quick."""

import time

import pytest

from deployments.serving.latency_estimate import Pace


@pytest.fixture
def cpu(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the thread has had, to be set."""
    seconds = [0.0]
    monkeypatch.setattr(time, "thread_time", lambda: seconds[0])
    return seconds


def work_for(pace: Pace, cpu: list[float], seconds: float) -> None:
    def work() -> None:
        cpu[0] += seconds

    pace.timed(1_000_000, work)


def test_nothing_is_quick_until_something_was_seen(cpu: list[float]) -> None:
    pace = Pace()
    assert not pace.is_quick(1)
    work_for(pace, cpu, 0.002)
    assert pace.is_quick(1_200_000)
    assert not pace.is_quick(1_300_000)


def test_one_slow_request_counts_at_once_and_quick_ones_by_and_by(cpu: list[float]) -> None:
    pace = Pace()
    work_for(pace, cpu, 0.001)
    work_for(pace, cpu, 0.01)
    assert not pace.is_quick(1_000_000)
    quick = 0
    while not pace.is_quick(1_000_000):
        work_for(pace, cpu, 0.001)
        quick += 1
    assert quick > 10


def test_what_fails_is_told_and_teaches_nothing(cpu: list[float]) -> None:
    pace = Pace()
    with pytest.raises(ZeroDivisionError):
        pace.timed(1, lambda: 1 // 0)
    assert not pace.is_quick(1)
    assert pace.timed(1, lambda: "done") == "done"
