"""A world for each test."""

from pathlib import Path

import pytest

from tests.unit.tasks.rollout_engine.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three versions of one product, none of them served yet."""
    return World(tmp_path)


@pytest.fixture
def served(world: World) -> World:
    """v1 is champion."""
    world.run(world.wish(1))
    return world
