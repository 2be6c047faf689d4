"""The API's description taken at its word, for minutes: `make test-api`."""

from pathlib import Path

import pytest

from deployments.rollout.state import Phase
from tests.unit.flows.api_judgement import judged
from tests.unit.flows.api_scene import api_over
from tests.unit.flows.conftest import until, world
from tests.unit.tasks.rollout_engine.world import World

__all__ = ["world"]


@pytest.mark.hostile
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(1, 6))
def test_it_stays_true_however_often_it_is_asked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    until(world, Phase.OBSERVING)
    asked = judged(api_over(world, tmp_path, monkeypatch, api_rate=10**6), 60, seed)
    print(f"seed {seed}: {asked:,} requests")
    assert asked > 2_000
