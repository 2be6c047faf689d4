"""Who is champion, in a real MLflow on SQLite: promoted, reinstated, and killed in between."""

import contextlib
import itertools
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from deployments.registry import DeploymentStatus, ModelRegistry, ModelVersion
from deployments.registry.mlflow_client import connect
from deployments.settings import Settings
from tests.unit.deployments.registry.a_registry import MONDAY, TUESDAY, DyingClient, Killed, registered
from tests.unit.tasks.models.real_mlflow import settings_in


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_in(tmp_path)


@pytest.fixture
def registry(settings: Settings) -> ModelRegistry:
    return ModelRegistry(settings.mlflow_uri, settings.keys_folder)


def test_the_first_promotion_makes_a_champion_without_a_predecessor(
    registry: ModelRegistry, settings: Settings
) -> None:
    registered(registry, settings)
    registry.set_challenger("flights", 1)

    champion = registry.promote("flights", 1, MONDAY, None)

    assert champion.aliases == ("champion",)
    assert (champion.status, champion.deployed_at) == (DeploymentStatus.LIVE, MONDAY)
    assert champion.rollback_version is None
    assert registry.previous("flights") is None
    assert registry.challenger("flights") is None


def test_the_former_champion_becomes_previous_and_retired(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)

    champion = registry.promote("flights", 2, TUESDAY, 1)

    assert (champion.version, champion.rollback_version, champion.deployed_at) == (2, 1, TUESDAY)
    previous = registry.previous("flights")
    assert previous is not None
    assert (previous.version, previous.status) == (1, DeploymentStatus.RETIRED)
    assert [each.aliases for each in registry.versions("flights")] == [("previous",), ("champion",)]


def test_promoting_the_champion_again_changes_nothing(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    once = registry.promote("flights", 2, TUESDAY, 1)

    again = registry.promote("flights", 2, datetime(2027, 1, 1, tzinfo=UTC), 1)

    assert _plain(again) == _plain(once)


def test_a_reinstated_champion_does_not_point_back_to_the_bad_one(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, TUESDAY, 1)

    restored = registry.reinstate("flights", 1, TUESDAY, 2)

    assert (restored.version, restored.status, restored.aliases) == (1, DeploymentStatus.LIVE, ("champion",))
    assert registry.get("flights", 2).status is DeploymentStatus.ROLLED_BACK
    assert registry.previous("flights") is None


def test_after_a_rollback_the_version_before_is_previous_again(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, MONDAY, 1)
    registered(registry, settings, "third")
    registry.promote("flights", 3, TUESDAY, 2)

    registry.reinstate("flights", 2, TUESDAY, 3)

    previous = registry.previous("flights")
    assert previous is not None
    assert previous.version == 1
    assert {each.version: each.status.value for each in registry.versions("flights")} == {
        1: "retired",
        2: "live",
        3: "rolled_back",
    }


def test_a_version_that_was_rolled_back_can_be_promoted_later(registry: ModelRegistry, settings: Settings) -> None:
    second_of_two(registry, settings)
    registry.promote("flights", 2, MONDAY, 1)
    registry.reinstate("flights", 1, MONDAY, 2)

    champion = registry.promote("flights", 2, TUESDAY, 1)

    assert (champion.status, champion.rollback_version) == (DeploymentStatus.LIVE, 1)
    assert registry.get("flights", 1).aliases == ("previous",)


MOVES: dict[str, Callable[[ModelRegistry], ModelVersion]] = {
    "promote": lambda registry: registry.promote("flights", 2, TUESDAY, 1),
    "reinstate": lambda registry: registry.reinstate("flights", 1, TUESDAY, 2),
}


@pytest.mark.parametrize("move", MOVES)
def test_a_move_killed_between_any_two_calls_keeps_a_champion_and_is_completed_by_repeating(
    registry: ModelRegistry, settings: Settings, move: str
) -> None:
    second_of_two(registry, settings)
    if move == "reinstate":
        registry.promote("flights", 2, MONDAY, 1)
    before = _database(settings).with_suffix(".before")
    _copy(_database(settings), before)
    client = registry._client
    MOVES[move](registry)
    expected = _picture(registry)

    for calls in itertools.count():
        _copy(before, _database(settings))
        registry._client = DyingClient(client, calls)
        try:
            MOVES[move](registry)
            break
        except Killed:
            registry._client = client
        champion = registry.champion("flights")
        assert champion is not None
        assert champion.version in {1, 2}
        MOVES[move](registry)
        assert _picture(registry) == expected, f"killed before call {calls + 1}"
    assert calls > 10, "the move makes more calls than that"


def test_a_kill_that_nobody_repeated_is_put_right_by_the_next_promotion(
    registry: ModelRegistry, settings: Settings
) -> None:
    second_of_two(registry, settings)
    registered(registry, settings, "third")
    client = connect(settings.mlflow_uri)
    # As promote leaves it when it dies right after the champion's name has moved.
    client.set_model_version_tag("flights", "2", "seatrial.rollback_version", "1")
    client.set_registered_model_alias("flights", "champion", "2")

    registry.promote("flights", 3, TUESDAY, 2)

    assert {each.version: each.status.value for each in registry.versions("flights")} == {
        1: "retired",
        2: "registered",
        3: "live",
    }
    assert registry.get("flights", 3).rollback_version == 2


def second_of_two(registry: ModelRegistry, settings: Settings) -> None:
    """Version 1 is champion, version 2 wants to be."""
    registered(registry, settings, "first")
    registry.promote("flights", 1, MONDAY, None)
    registered(registry, settings, "second")
    registry.set_challenger("flights", 2)


def _picture(registry: ModelRegistry) -> list[tuple[Any, ...]]:
    return [_plain(each) for each in registry.versions("flights")]


def _plain(version: ModelVersion) -> tuple[Any, ...]:
    return version.version, version.status, version.deployed_at, version.rollback_version, version.aliases


def _database(settings: Settings) -> Path:
    return settings.home / "mlflow" / "mlflow.db"


def _copy(source: Path, target: Path) -> None:
    """One database over another, while others are connected to it."""
    with contextlib.closing(sqlite3.connect(source)) as origin, contextlib.closing(sqlite3.connect(target)) as copy:
        origin.backup(copy)
