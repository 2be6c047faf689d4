"""A run is refused before it starts when what is asked cannot be done."""

from pathlib import Path

import pytest

from deployments.errors import BadInput
from deployments.settings import Settings
from deployments.spec import Strategy
from tasks.product import open_run

PROJECT = Path(__file__).parents[3]


@pytest.mark.parametrize("strategy", [each for each in Strategy if each is not Strategy.ROLLING])
def test_a_strategy_without_an_implementation_is_refused_before_anything_is_trained(strategy: Strategy) -> None:
    with pytest.raises(BadInput, match=f"'{strategy}' is not available yet"):
        open_run("a run", "flights", Settings(project=PROJECT), strategy=strategy)


def test_what_is_asked_takes_the_place_of_the_spec() -> None:
    run = open_run("a run", "flights", Settings(project=PROJECT), strategy=Strategy.ROLLING, replicas=5)
    assert (run.spec.rollout.replicas, run.product) == (5, "flights")
