"""A storm over every listener of a whole platform: nothing falls, grows beyond its bound, or lets anybody in.

The sample is `tests/e2e/test_hostile_requests.py`, where a platform is up.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import SPEC, Seatrial, Shop, seatrial_in
from tests.hostile.attacked import Attacked
from tests.hostile.storm_over_all import storm_over_all


@pytest.fixture(scope="module")
def attacked() -> Iterator[Attacked]:
    """A platform of its own with one product; feedback is not slowed down, so that it is attacked, too."""
    folder = Path(tempfile.mkdtemp(prefix="st-", dir="/tmp"))
    made = seatrial_in(folder)
    platform = Seatrial(made.home, made.project, made.environment | {"SEATRIAL_FEEDBACK_RATE": "100000000"})
    try:
        started = platform.run("up")
        assert started.returncode == 0, started.stderr
        released = platform.run("release", str(Shop("shop", folder / "shop", SPEC).write().file))
        assert released.returncode == 0, released.stderr
        yield Attacked(platform)
    finally:
        platform.run("down")
        for process in platform.processes():
            process.kill()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_a_storm_over_every_listener_is_weathered(attacked: Attacked, model: Path) -> None:
    requests, seed = int(os.environ.get("FUZZ_REQUESTS", "105000")), int(os.environ.get("FUZZ_SEED", "12"))
    with contextlib.ExitStack() as stack:
        further = [stack.enter_context(attacked.prefect_for_one_command()), *stack.enter_context(attacked.pod(model))]
        storm_over_all(attacked, [*attacked.listeners(), *further], requests, seed)
