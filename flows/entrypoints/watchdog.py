"""Rollouts whose process is gone are carried on: the platform's warm process looks for them and forks for each.

The journal is the truth about where a rollout is; Prefect loses runs in several ways (docs/decisions/0007).
"""

import os
from dataclasses import dataclass, field
from datetime import timedelta

from deployments.clock import Clock, SystemClock
from deployments.errors import SeatrialError
from deployments.rollout.state import RolloutState
from deployments.settings import Settings

EVERY = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(slots=True)
class Watchdog:
    """Names the rollouts to carry on; each again after a growing pause, as long as nobody carries it to its end."""

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    _tries: dict[str, int] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)

    def orphans(self) -> tuple[RolloutState, ...]:
        """Rollouts that nobody carries, and whose turn it is. Empty while the journal cannot be read.

        The journal is opened anew and closed each time: no connection may be alive when the process forks.
        """
        from deployments.journals.database import DatabaseJournal

        try:
            journal = DatabaseJournal(self.settings.journal_database)
            try:
                now = self.clock.now()
                found = [each for each in journal.under_way() if journal.holder(each.product, now) is None]
            finally:
                journal.close()
        except SeatrialError:
            return ()
        return tuple(each for each in found if self._is_its_turn(each.rollout_id))

    def _is_its_turn(self, rollout_id: str) -> bool:
        now = self.clock.monotonic()
        if now < self._not_before.get(rollout_id, 0.0):
            return False
        tries = self._tries[rollout_id] = self._tries.get(rollout_id, 0) + 1
        # The first pause is longer than a carrier takes from its fork to the lease.
        pause = min(timedelta(seconds=10 * 2**tries), _LONGEST_PAUSE)
        self._not_before[rollout_id] = now + pause.total_seconds()
        return True


def carry_on(settings: Settings, state: RolloutState) -> int:
    """In a process of its own: carry the rollout to its end; returns an exit code. Its words go to the warm log."""
    from deployments.platform.environment import environment
    from deployments.platform.local import live_addresses
    from flows.entrypoints import console

    os.environ.update(environment(settings, live_addresses(settings)))
    from flows.requests import RolloutRequest
    from flows.rollout import rollout
    from flows.starting import run_here

    console.show_progress(quiet=False)
    try:
        run_here(rollout, RolloutRequest(product=state.product, rollout_id=state.rollout_id))
    except SeatrialError as error:
        return console.fail(f"{state.product}: {error}", error.exit_code)
    return 0
