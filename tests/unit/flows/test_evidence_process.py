"""Verdicts for whoever looks are reached beside the control service, which stays small."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from deployments.clock import ManualClock
from deployments.errors import PlatformUnreachable
from deployments.journals.database import DatabaseJournal
from deployments.rollout.state import Phase, RolloutState
from flows.entrypoints.control_service.evidence_process import EvidenceProcess
from flows.entrypoints.control_service.short_cache import ShortCache
from tasks.rollout_engine.carrier import Carrier
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

ROOT = Path(__file__).parents[3]
_HEAVY = ("numpy", "scipy", "prefect", "mlflow", "sklearn", "pandas", "pyarrow", "great_expectations")


@pytest.fixture
def observed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RolloutState]:
    """A rollout that was looked at three times, in the journal of the home that processes of this one find."""
    monkeypatch.setenv("SEATRIAL_HOME", str(tmp_path / "home"))
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    world.run(world.wish(1))
    with closing(DatabaseJournal(f"sqlite:///{tmp_path / 'home' / 'journal.db'}")) as journal:
        world.journal = journal  # type: ignore[assignment]
        world.doors = replace(world.doors, journal=journal)
        state, carrier = until(world, Phase.OBSERVING), Carrier(world.doors)
        for _ in range(3):
            state = carrier.advance(state)
        yield state


def test_the_evidence_is_weighed_by_a_process_that_rests_and_begins_again(observed: RolloutState) -> None:
    clock = ManualClock()
    with closing(EvidenceProcess(clock, idle=timedelta(minutes=2))) as evidence:
        told = evidence.explanation(PRODUCT, observed.rollout_id)
        (errors, *_) = told["findings"]
        series = told["series"][errors["metric"]]
        assert [each["harm"] for each in series][-1] == errors["harm"]
        assert len(series) == told["blocks"]
        (worker,) = _workers()
        clock.advance(timedelta(minutes=1))
        evidence.rest()
        assert worker.is_running()
        clock.advance(timedelta(minutes=2))
        evidence.rest()
        worker.wait(30)
        assert evidence.forecast(PRODUCT, observed.rollout_id)["requests_per_second"] is not None
        (another,) = _workers()
        os.kill(another.pid, signal.SIGKILL)
        with pytest.raises(PlatformUnreachable, match="ask again"):
            while True:  # until it is noticed
                evidence.replay(PRODUCT, observed.rollout_id)
        assert evidence.replay(PRODUCT, observed.rollout_id)["identical"]
        (last,) = _workers()
    last.wait(30)


def test_a_service_that_is_killed_leaves_no_worker_behind(observed: RolloutState) -> None:
    program = (
        "import time; from deployments.clock import SystemClock\n"
        "from flows.entrypoints.control_service.evidence_process import EvidenceProcess\n"
        "if __name__ == '__main__':\n"
        f"  EvidenceProcess(SystemClock()).replay({PRODUCT!r}, {observed.rollout_id!r}); print('asked', flush=True)\n"
        "  time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        assert service.stdout.readline() == b"asked\n"
        children = psutil.Process(service.pid).children(recursive=True)
        service.kill()
    gone, alive = psutil.wait_procs(children, timeout=30)
    assert (len(gone) >= 1, alive) == (True, [])


def _workers() -> list[psutil.Process]:
    children = psutil.Process().children()
    return [each for each in children if "spawn_main" in " ".join(each.cmdline())]


def test_the_control_service_with_all_its_rooms_is_small_and_loads_nothing_heavy() -> None:
    program = (
        "import sys, json; import flows.entrypoints.control_service.main; "
        f"print(json.dumps([name for name in {_HEAVY!r} if name in sys.modules])); "
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmRSS')))"
    )
    heavy, size = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert json.loads(heavy) == []
    assert int(size) < 90 * 1024


def test_what_many_ask_for_at_once_is_found_once_and_again_after_a_moment() -> None:
    clock, found = ManualClock(), []
    cache = ShortCache(clock, timedelta(seconds=1))

    def find() -> int:
        found.append(1)
        return len(found)

    assert [cache.of("a", find), cache.of("a", find), cache.of("b", find)] == [1, 1, 2]
    clock.advance(timedelta(seconds=1))
    assert cache.of("a", find) == 3


def test_what_could_not_be_found_is_looked_for_again() -> None:
    cache = ShortCache(ManualClock(), timedelta(seconds=1))

    def fails() -> None:
        raise PlatformUnreachable("away")

    with pytest.raises(PlatformUnreachable):
        cache.of("a", fails)
    assert cache.of("a", lambda: 1) == 1
