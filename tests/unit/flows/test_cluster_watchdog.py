"""In a cluster, a rollout without a carrier becomes a run of the worker's."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.rollout.state import RolloutState
from flows.entrypoints.runner import cluster_watchdog
from flows.entrypoints.runner.cluster_watchdog import look
from flows.entrypoints.runner.watchdog import Watchdog
from tests.unit.flows.test_watchdog import DAY, ELSEWHERE, Platform


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    found = Platform(tmp_path)
    found.watchdog = Watchdog(found.settings, found.clock, timedelta(minutes=2))
    yield found
    found.journal.close()


def test_each_is_handed_over_once_and_again_only_after_time_enough_for_a_pod_to_start(platform: Platform) -> None:
    handed: list[RolloutState] = []
    for _ in range(24):  # two minutes
        look(platform.watchdog, handed.append)
        platform.clock.sleep(timedelta(seconds=5))
    assert handed == [platform.state]
    look(platform.watchdog, handed.append)
    assert handed == [platform.state] * 2


def test_one_that_is_carried_is_left_alone(platform: Platform) -> None:
    platform.journal.acquire("bikes", ELSEWHERE, platform.clock.now(), DAY)
    look(platform.watchdog, lambda _: pytest.fail("somebody carries it"))


def test_while_prefect_is_away_that_is_said_without_its_words_and_tried_again(
    platform: Platform, capsys: pytest.CaptureFixture[str]
) -> None:
    def away(_: RolloutState) -> None:
        raise ConnectionError("http://ann:hunter2@prefect.example")

    look(platform.watchdog, away)
    told = capsys.readouterr().out
    assert told == "bikes: no process carries its rollout, and none could be started (ConnectionError)\n"
    platform.clock.sleep(timedelta(minutes=2))
    handed: list[RolloutState] = []
    look(platform.watchdog, handed.append)
    assert handed == [platform.state]


def test_the_run_is_one_of_the_flow_rollout_for_that_very_rollout(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []
    monkeypatch.setattr(
        "flows.submission.run_detached", lambda name, request: asked.append((name, request.model_dump()))
    )
    cluster_watchdog.hand_to_worker(platform.state)
    assert asked == [("rollout/rollout", {"product": "bikes", "rollout_id": "a rollout"})]
