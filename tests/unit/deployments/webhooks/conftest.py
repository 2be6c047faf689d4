from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from deployments.journals.in_memory import InMemoryJournal
from deployments.process_identity import this_process
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import RolloutSection
from tests.unit.deployments.webhooks.deliveries import PRODUCT, LibraryDatetime


@pytest.fixture(autouse=True)
def the_librarys_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """It asks the machine itself."""
    monkeypatch.setattr("standardwebhooks.webhooks.datetime", LibraryDatetime)


@pytest.fixture
def a_rollout() -> Callable[..., None]:
    """Writes a rollout of a version into a journal: under way at `at`, or ended so long after (`ended`)."""

    def write(journal: InMemoryJournal, version: int, at: datetime, ended: timedelta | None) -> None:
        phase, updated = (Phase.RUNNING, at) if ended is None else (Phase.ROLLED_BACK, at + ended)
        began = at - timedelta(minutes=1)
        state = RolloutState(
            "r", PRODUCT, version, None, "rolling", RolloutSection(), (), 0, phase, "", began, updated, began
        )
        lease = journal.acquire(PRODUCT, this_process(), at, timedelta(minutes=1))
        journal.save(state, lease)

    return write
