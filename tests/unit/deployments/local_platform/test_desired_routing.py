"""How traffic should flow when the gateway lost its files: by the journal, over the servers that are there."""

import gc
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deployments.local_platform import lifecycle
from deployments.local_platform.desired_routing import known_routings, witness_of
from deployments.rollout.state import Phase
from deployments.settings import Settings
from deployments.spec import Strategy
from deployments.supervision import Supervisor
from deployments.traffic import Weights
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v1 is champion."""
    made = World(tmp_path_factory.mktemp("world"))
    made.run(made.wish(1))
    return made


def known(world: World) -> Weights | None:
    routing = known_routings({PRODUCT, "nobody"}, world.journal, world.target).get(PRODUCT)
    assert routing is None or {each.version for each in routing.backends} == set(world.target.versions(PRODUCT))
    return routing.weights if routing else None


def test_at_rest_the_champion_has_all(world: World) -> None:
    assert known(world) == Weights.all_to(1)


def test_in_a_canary_the_split_is_that_of_its_last_step(world: World) -> None:
    state, carrier = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    while state.phase is not Phase.OBSERVING:
        state = carrier.advance(state)
    assert known(world) == Weights({1: 90, 2: 10})


def test_what_was_rolled_back_gets_nothing(world: World) -> None:
    world.errors[2] = 0.6
    assert world.run(world.wish(2, Strategy.CANARY)).phase is Phase.ROLLED_BACK
    assert known(world) == Weights.all_to(1)


def test_without_a_journal_it_is_the_only_version_that_has_servers(world: World) -> None:
    world.journal._rollouts.clear()
    assert known(world) == Weights.all_to(1)


def test_of_servers_that_are_not_there_nothing_is_said(world: World) -> None:
    world.target._servers.clear()
    assert known(world) is None


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nothing is closed by chance."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_whoever_asks_the_journal_once_closes_it(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    supervisor = Supervisor.of(settings)
    witness = witness_of(settings, supervisor)
    witness.tell(PRODUCT, "its file was damaged")
    assert witness.otherwise() == {}
    lifecycle.down(settings)
    assert [each.path for each in psutil.Process().open_files() if each.path.endswith("journal.db")] == []
