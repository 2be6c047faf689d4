"""A product is taken off the air as a whole, alone, and again after a kill; a release brings it back."""

from typing import Any

import pytest

from deployments.errors import BadInput, NotFound
from deployments.traffic import Backend, Routing, Weights
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.product_removal import REMOVED, removed_at, take_off_the_air
from tasks.rollout_engine.takeover import begin
from tests.advice import followed
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, World


@pytest.fixture
def world(tmp_path: Any) -> World:
    """v1 is champion."""
    world = World(tmp_path)
    world.run(world.wish(1))
    return world


def remove(world: World) -> tuple[int, ...]:
    return take_off_the_air(PRODUCT, world.wish(1).section, world.doors, "test", "why")


def is_gone(world: World) -> bool:
    return world.router.read(PRODUCT) is None and world.target.versions(PRODUCT) == ()


def test_route_and_servers_go_and_records_stay(world: World) -> None:
    assert remove(world) == (1,)
    assert is_gone(world)
    [newest] = world.journal.newest()
    assert removed_at(PRODUCT, newest.updated_at, world.journal) is not None
    assert [each.version for each in world.registry.versions(PRODUCT)][:1] == [1]
    event = [event for event in world.journal.events(PRODUCT) if event.kind == REMOVED][-1]
    assert event.detail == {"who": "test", "reason": "why", "versions": [1]}


def test_nobody_else_loses_anything(world: World) -> None:
    other = Routing((Backend(7, ("127.0.0.1:1",)),), Weights.all_to(7))
    world.router.apply("other", other)
    remove(world)
    assert world.router.read("other") == other


def test_a_rollout_under_way_is_ended_first(world: World) -> None:
    begin(world.wish(2), world.doors)
    before = world.router.read(PRODUCT)
    with pytest.raises(BadInput, match=followed("ends it, then ")):
        remove(world)
    assert world.router.read(PRODUCT) == before


def test_a_product_that_never_was_is_not_found(world: World) -> None:
    with pytest.raises(
        NotFound, match=followed("`seatrial products` shows what was", "tasks/rollout_engine/product_removal.py")
    ):
        take_off_the_air("nobody", world.wish(1).section, world.doors, "test")


@pytest.mark.parametrize("door", ["router.remove", "target.retire", "target.versions", "journal.record"])
def test_a_kill_in_the_middle_leaves_what_a_repeat_finishes(
    door: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    part, method = door.split(".")
    kind, killed = type(getattr(world, part)), False
    act = getattr(kind, method)

    def kill(self: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal killed
        found = act(self, *arguments, **more)
        if not killed:
            killed = True
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(kind, method, kill)
    with pytest.raises(KeyboardInterrupt):
        remove(world)
    remove(world)
    assert is_gone(world)


def test_removing_twice_does_no_harm(world: World) -> None:
    remove(world)
    assert remove(world) == ()
    assert is_gone(world)


def test_a_release_brings_it_back(world: World) -> None:
    remove(world)
    world.clock.sleep(MINUTE)
    state, carrier = begin(world.wish(2), world.doors), Carrier(world.doors)
    while state.live:
        state = carrier.advance(state)
    live = world.router.read(PRODUCT)
    assert live is not None
    assert live.weights == Weights.all_to(2)
    [newest] = world.journal.newest()
    assert removed_at(PRODUCT, newest.updated_at, world.journal) is None
