"""How fast one process may ask one API server."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock, SystemClock
from deployments.cluster import Cluster, rate_limit
from deployments.cluster.rate_limit import Pace, pace_of
from deployments.cluster.resource_kinds import CONFIG_MAP
from tests.fakes.kubernetes import FakeKubernetes


class Frozen(ManualClock):
    """Time stands still; how long somebody would sleep is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    def sleep(self, duration: timedelta) -> None:
        self.slept.append(round(duration.total_seconds(), 6))


def test_after_a_rest_a_burst_goes_at_once_and_then_so_many_a_second() -> None:
    clock = ManualClock()
    asked = Pace(rate=10, burst=5, clock=clock)
    moments = []
    for _ in range(25):
        asked.wait()
        moments.append(clock.monotonic())
    assert moments[:5] == [0.0] * 5
    assert moments[5:] == pytest.approx([0.1 * number for number in range(1, 21)])
    clock.advance(timedelta(hours=1))
    began = clock.monotonic()
    for _ in range(6):
        asked.wait()
    assert clock.monotonic() - began == pytest.approx(0.1)


def test_threads_get_a_turn_each() -> None:
    clock = Frozen()
    asked = Pace(rate=10, burst=5, clock=clock)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: asked.wait(), range(205)))
    assert sorted(clock.slept) == pytest.approx([0.1 * number for number in range(1, 201)])


def test_who_waits_for_a_turn_keeps_nobody_from_taking_the_next() -> None:
    woken, asleep = threading.Event(), threading.Semaphore(0)

    class Sleeper(ManualClock):
        def sleep(self, duration: timedelta) -> None:
            asleep.release()
            assert woken.wait(60)

    asked = Pace(rate=10, burst=1, clock=Sleeper())
    asked.wait()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(asked.wait) for _ in range(2)]
        assert asleep.acquire(timeout=60)
        assert asleep.acquire(timeout=60)
        woken.set()
        assert [each.result() for each in both] == [None, None]


def test_every_client_of_a_server_shares_one_pace_and_a_watch_takes_one_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "BURST", 10)
    monkeypatch.setattr(rate_limit, "RATE", 0.001)
    taken: list[float] = []
    monkeypatch.setattr(SystemClock, "sleep", lambda _, duration: taken.append(duration.total_seconds()))
    with FakeKubernetes(controllers=False) as api:
        one, other = (Cluster.of(kubeconfig=api.kubeconfig(tmp_path / "config")) for _ in range(2))
        _, since = one.list(CONFIG_MAP)
        for name in "abcd":
            other.create(CONFIG_MAP, {"metadata": {"name": name}})
        assert len(list(one.watch(CONFIG_MAP, since, 0.1))) == 4
        for _ in range(4):
            one.get(CONFIG_MAP, "a")
        assert not taken
        other.get(CONFIG_MAP, "a")
        assert len(taken) == 1


def test_a_pace_with_other_numbers_keeps_no_later_server_at_the_same_port_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as tried:
        tried.setattr(rate_limit, "RATE", 0.001)
        former = pace_of("https://127.0.0.1:6443", 1)
    later = pace_of("https://127.0.0.1:6443", 1)
    assert later is not former
    assert later is pace_of("https://127.0.0.1:6443", 1)
    assert later is not pace_of("https://127.0.0.1:6443", 2)
