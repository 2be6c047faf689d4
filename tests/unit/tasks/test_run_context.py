"""What a run is asked for takes the place of what the spec says."""

from pathlib import Path

import pytest

from deployments.settings import Settings
from deployments.spec import Strategy
from tasks.run_context import open_run

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("strategy", Strategy)
def test_what_is_asked_takes_the_place_of_the_spec(strategy: Strategy) -> None:
    run = open_run("a run", "flights", Settings(project=PROJECT), strategy=strategy, replicas=5)
    assert (run.spec.rollout.strategy, run.spec.rollout.replicas, run.product) == (strategy, 5, "flights")
