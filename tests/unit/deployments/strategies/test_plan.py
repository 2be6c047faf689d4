"""Plans as data."""

import pytest

from deployments.errors import BadInput
from deployments.rollout.steps import Launch, Promote, Reinstate, Retire, Shift, Verify
from deployments.spec import Strategy
from deployments.strategies.plan import Goal, plan
from deployments.traffic import Weights


def test_rolling_shifts_only_after_the_new_version_was_verified_and_retires_last() -> None:
    assert plan(Strategy.ROLLING, Goal.PROMOTE, candidate=3, running=(2,), replicas=4) == (
        Launch(3, 4),
        Verify(3),
        Shift(Weights.all_to(3)),
        Promote(3),
        Retire(2),
    )


def test_a_rollback_reinstates_and_never_promotes() -> None:
    steps = plan(Strategy.ROLLING, Goal.REINSTATE, candidate=1, running=(2,), replicas=1)
    assert Reinstate(1) in steps
    assert Promote(1) not in steps


def test_a_first_version_retires_nobody() -> None:
    assert not [step for step in plan(Strategy.ROLLING, Goal.PROMOTE, 1, (), 1) if isinstance(step, Retire)]


def test_servers_of_the_candidate_that_run_already_are_not_retired() -> None:
    assert Retire(3) not in plan(Strategy.ROLLING, Goal.PROMOTE, candidate=3, running=(1, 3), replicas=1)


@pytest.mark.parametrize("strategy", [strategy for strategy in Strategy if strategy is not Strategy.ROLLING])
def test_a_strategy_that_is_not_there_yet_is_refused_by_name(strategy: Strategy) -> None:
    with pytest.raises(BadInput, match=f"{strategy.value}.*use 'rolling'"):
        plan(strategy, Goal.PROMOTE, 1, (), 1)
