"""A storm over every listener of a whole platform: nothing falls, grows beyond its bound, or lets anybody in.

The sample is `tests/e2e/test_hostile_requests.py`, where a platform is up.
"""

import contextlib
import os
from pathlib import Path

import pytest

from tests.hostile.attacked import Attacked
from tests.hostile.storm_over_all import storm_over_all


@pytest.mark.hostile
@pytest.mark.timeout(0)
def test_a_storm_over_every_listener_is_weathered(attacked: Attacked, model: Path) -> None:
    requests, seed = int(os.environ.get("FUZZ_REQUESTS", "105000")), int(os.environ.get("FUZZ_SEED", "12"))
    with contextlib.ExitStack() as stack:
        further = [stack.enter_context(attacked.prefect_for_one_command()), *stack.enter_context(attacked.pod(model))]
        storm_over_all(attacked, [*attacked.listeners(), *further], requests, seed)
