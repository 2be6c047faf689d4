"""Who is sent to carry on a rollout that nobody carries, and how often."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from deployments.clock import ManualClock
from deployments.journals.database import DatabaseJournal
from deployments.process_identity import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.settings import Settings
from deployments.spec import RolloutSection
from flows.entrypoints.runner.watchdog import EVERY, Watchdog, carry_on

ELSEWHERE = Owner("another-host", 1, 0.0)
DAY = timedelta(days=1)


class Platform:
    """A journal with one rollout under way, and the watchdog that looks into it."""

    def __init__(self, home: Path) -> None:
        self.clock = ManualClock()
        self.settings = Settings(home=home)
        self.journal = DatabaseJournal(self.settings.journal_address)
        self.watchdog = Watchdog(self.settings, self.clock)
        now = self.clock.now()
        self.state = RolloutState(
            "a rollout", "bikes", 2, 1, "canary", RolloutSection(), (), 0, Phase.RUNNING, "", now, now, now
        )
        self.saved(self.state)

    def saved(self, state: RolloutState) -> None:
        lease = self.journal.acquire("bikes", ELSEWHERE, self.clock.now(), DAY)
        self.journal.save(state, lease)
        self.journal.release(lease)

    def sent(self, within: timedelta) -> list[float]:
        """When somebody was sent, in seconds from now."""
        began, found = self.clock.monotonic(), []
        while (spent := self.clock.monotonic() - began) <= within.total_seconds():
            found += [spent for _ in self.watchdog.orphans()]
            self.clock.sleep(EVERY)
        return found


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    platform = Platform(tmp_path)
    yield platform
    platform.journal.close()


def test_a_rollout_that_somebody_carries_is_left_alone(platform: Platform) -> None:
    platform.journal.acquire("bikes", ELSEWHERE, platform.clock.now(), DAY)
    assert platform.sent(timedelta(minutes=10)) == []


def test_a_rollout_that_never_gets_further_is_tried_again_and_again_ever_more_seldom(platform: Platform) -> None:
    assert platform.sent(timedelta(minutes=20)) == [0, 20, 60, 140, 300, 600, 900, 1200]


def test_a_rollout_that_gets_further_is_picked_up_within_a_minute_however_often_its_carriers_die(
    platform: Platform,
) -> None:
    for _ in range(10):
        assert len(platform.sent(timedelta(seconds=25))) >= 1
        platform.state = replace(platform.state, updated_at=platform.clock.now())
        platform.saved(platform.state)


def test_nobody_carries_anything_on_after_down(platform: Platform, tmp_path: Path) -> None:
    assert carry_on(platform.settings, platform.state) == 0
    assert not (tmp_path / "gateway").exists()
    assert platform.journal.rollout("bikes", "a rollout") == platform.state
