"""Who serves: the journal's word before the traffic's, the traffic's before the registry's."""

from dataclasses import replace
from typing import Any

import pytest

from deployments.errors import RegistryUnreachable
from deployments.rollout.state import Phase
from deployments.rollout.steps import Promote
from deployments.spec import Strategy
from deployments.traffic import Backend, Routing, Weights
from tasks.rollout_engine.champion import who_serves
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


class Silent:
    """A registry that does not answer."""

    def __getattr__(self, name: str) -> Any:
        raise RegistryUnreachable("MLflow does not answer")


def by_journal(world: World) -> int | None:
    """What is said without a registry."""
    return who_serves(PRODUCT, replace(world.doors, registry=Silent()))  # type: ignore[arg-type]


def test_the_last_rollout_that_came_to_its_end_tells_and_the_registry_is_not_asked(served: World) -> None:
    assert by_journal(served) == 1
    served.run(served.wish(2))
    assert by_journal(served) == 2


def test_a_rollout_that_was_rolled_back_left_the_champion_that_was_there(served: World) -> None:
    served.errors[2] = 0.3
    assert served.run(served.wish(2, Strategy.CANARY)).phase is Phase.ROLLED_BACK
    assert by_journal(served) == 1


def test_under_way_it_is_the_former_until_the_promotion(served: World) -> None:
    seen: dict[bool, set[int | None]] = {False: set(), True: set()}
    served.run(
        served.wish(2, Strategy.CANARY),
        between=lambda state: seen[any(isinstance(step, Promote) for step in state.steps[: state.done])].add(
            by_journal(served)
        ),
    )
    assert seen == {False: {1}, True: {2}}


def test_without_a_rollout_whoever_has_the_traffic_serves(world: World) -> None:
    backends = (Backend(2, ("/a.sock",)), Backend(3, ("/b.sock",)))
    world.router.edit(PRODUCT, Routing(backends, Weights({2: 20, 3: 80})))
    assert by_journal(world) == 3
    world.router.edit(PRODUCT, Routing(backends, Weights({2: 50, 3: 50})))
    assert by_journal(world) == 2


@pytest.mark.parametrize("share", [10, 50, 80, 100])
def test_of_several_that_run_without_a_rollout_the_registrys_champion_serves(world: World, share: float) -> None:
    backends = (Backend(2, ("/a.sock",)), Backend(3, ("/b.sock",)))
    weights = Weights({2: 100 - share, 3: share}) if share < 100 else Weights.all_to(3)
    world.router.edit(PRODUCT, Routing(backends, weights))
    world.registry.promote(PRODUCT, 2, world.clock.now(), None)
    assert who_serves(PRODUCT, world.doors) == 2
    world.registry.promote(PRODUCT, 1, world.clock.now(), None)  # by hand: it has no servers
    assert who_serves(PRODUCT, world.doors) == (3 if share > 50 else 2)


def test_one_that_runs_alone_serves_whatever_the_registry_says(world: World) -> None:
    world.router.edit(PRODUCT, Routing((Backend(3, ("/b.sock",)),), Weights.all_to(3)))
    world.registry.promote(PRODUCT, 2, world.clock.now(), None)
    assert who_serves(PRODUCT, world.doors) == by_journal(world) == 3


def test_without_rollout_and_traffic_the_registry_is_asked(world: World) -> None:
    assert who_serves(PRODUCT, world.doors) is None
    world.registry.promote(PRODUCT, 3, world.clock.now(), None)
    assert who_serves(PRODUCT, world.doors) == 3
    with pytest.raises(RegistryUnreachable):
        by_journal(world)
