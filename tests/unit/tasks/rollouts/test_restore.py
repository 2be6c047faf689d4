"""The way back, however long it takes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import Busy
from deployments.owner import Owner
from deployments.rollout.steps import Shift
from deployments.targets.protocol import Launch
from deployments.traffic import Weights
from tasks.rollouts.keeping import LEASE, hold
from tasks.rollouts.restore import restore
from tasks.rollouts.traffic import shift
from tests.unit.tasks.rollouts.world import PRODUCT, SECTION, World

ELSEWHERE = Owner("another-host", 1, 0.0)
SLOW = SECTION.model_copy(update={"drain_timeout": timedelta(minutes=20)})


class NeverDrained:
    """A router whose versions always answer something still."""

    def __init__(self, router: Any) -> None:
        self._router = router

    def __getattr__(self, name: str) -> Any:
        return getattr(self._router, name)

    def in_flight(self, _product: str, _version: int) -> int:
        return 1


@pytest.fixture
def crowded(served: World) -> World:
    """Four versions beside the champion have servers and no traffic."""
    for version in (2, 3, 4, 5):
        served.target.launch(Launch(PRODUCT, version, served.folder, 1))
    shift(PRODUCT, Shift(Weights.all_to(1)), served.doors)
    return served


def test_the_lease_is_kept_through_the_longest_way_back(crowded: World) -> None:
    doors = replace(crowded.doors, router=NeverDrained(crowded.router))  # type: ignore[arg-type]
    hold(PRODUCT, doors, SLOW)
    restore(PRODUCT, SLOW, doors)
    assert crowded.clock.monotonic() > 4 * 1200
    with pytest.raises(Busy):
        crowded.journal.acquire(PRODUCT, ELSEWHERE, crowded.clock.now(), LEASE)
    crowded.settled()


def test_who_lost_the_lease_meanwhile_ends_nobodys_servers(crowded: World) -> None:
    crowded.journal.acquire(PRODUCT, ELSEWHERE, crowded.clock.now(), LEASE)
    with pytest.raises(Busy):
        restore(PRODUCT, SECTION, crowded.doors)
    assert crowded.target.versions(PRODUCT) == (1, 2, 3, 4, 5)
