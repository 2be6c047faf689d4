"""A person goes back from a rollout whose process died: users first, however far it came and whatever is away."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.errors import DiskFull, RegistryUnreachable, SeatrialError
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote, Retire
from deployments.spec import Strategy
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.registry_sync import differences, repair
from tasks.rollout_engine.takeover import settle_before_release
from tests.unit.tasks.rollout_engine.hostile import Door, Killed, Outage
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World


class Away(Door):
    """A registry that does not answer, or cannot be written for want of room; who is served meanwhile is noted."""

    def __init__(self, world: World, failure: SeatrialError) -> None:
        super().__init__("registry", world.registry, Outage(world, "nothing"))
        self.served_by: list[dict[int, float]] = []
        self._world, self._failure = world, failure

    def __getattr__(self, name: str) -> Any:
        def call(*_arguments: Any, **_keywords: Any) -> Any:
            self.served_by.append(self._world.served_by)
            raise self._failure

        return call


def died_at(served: World, step: type[Promote | Retire]) -> None:
    def between(state: RolloutState) -> None:
        if isinstance(state.step, step):
            raise Killed

    with pytest.raises(Killed):
        served.run(served.wish(2, Strategy.CANARY), between=between)
    assert served.served_by == {2: 100}


@pytest.mark.parametrize("failure", [RegistryUnreachable("MLflow does not answer"), DiskFull("no space left")])
@pytest.mark.parametrize("step", [Promote, Retire])
def test_users_go_back_before_the_registry_is_asked_and_stay_though_it_never_answers(
    served: World, step: type[Promote | Retire], failure: SeatrialError
) -> None:
    died_at(served, step)
    registry: Any = Away(served, failure)
    seen = settle_before_release(PRODUCT, SECTION, replace(served.doors, registry=registry), going_back=True)
    assert registry.served_by[0] == {1: 100}
    assert seen == f"v1 serves again, and the registry cannot say so ({failure})"
    state = served.journal.rollout(PRODUCT, "rollout-2")
    assert (state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    assert seen in state.reason
    assert (who_serves(PRODUCT, served.doors), served.target.versions(PRODUCT)) == (1, (1,))
    assert differences(PRODUCT, served.doors), "what the registry was not told is shown"
    assert repair(PRODUCT, served.doors).left == ()
    served.settled()


@pytest.mark.parametrize("step", [Promote, Retire])
def test_with_a_registry_that_answers_all_agrees_at_once(served: World, step: type[Promote | Retire]) -> None:
    died_at(served, step)
    assert settle_before_release(PRODUCT, SECTION, served.doors, going_back=True) == "v1 has all traffic"
    assert served.served_by == {1: 100}
    served.settled()
    assert settle_before_release(PRODUCT, SECTION, served.doors, going_back=True) is None


def test_a_first_version_has_no_way_back(world: World) -> None:
    def between(state: RolloutState) -> None:
        if state.step is None:
            raise Killed

    with pytest.raises(Killed):
        world.run(world.wish(1), between=between)
    settle_before_release(PRODUCT, SECTION, world.doors, going_back=True)
    assert world.served_by == {1: 100}
    world.settled()


def test_a_release_takes_away_nobody_who_was_promoted(served: World) -> None:
    died_at(served, Retire)
    settle_before_release(PRODUCT, SECTION, served.doors)
    assert served.served_by == {2: 100}
    served.settled()
