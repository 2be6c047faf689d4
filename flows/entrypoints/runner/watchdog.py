"""Rollouts whose process is gone are carried on: the platform's warm process looks for them and forks for each.

The journal is the truth about where a rollout is; Prefect loses runs in several ways (docs/decisions/0007).
"""

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deployments.clock import Clock, SystemClock
from deployments.errors import SeatrialError
from deployments.platform_identity import this_place
from deployments.rollout.state import RolloutState
from deployments.settings import Settings

EVERY = timedelta(seconds=5)
# Longer than a carrier takes from its fork to the lease.
_FIRST_PAUSE = timedelta(seconds=20)
_LONGEST_PAUSE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Try:
    """The last time that somebody was sent: when, how far the rollout was, how many tries that makes without a move."""

    at: float
    seen: datetime
    number: int


@dataclass(slots=True)
class Watchdog:
    """Names the rollouts to carry on from here; each again after a pause.

    The pause grows as long as a rollout does not get any further.
    """

    settings: Settings
    clock: Clock = field(default_factory=SystemClock)
    first_pause: timedelta = _FIRST_PAUSE
    _tries: dict[str, _Try] = field(default_factory=dict)

    def orphans(self) -> tuple[RolloutState, ...]:
        """Rollouts that nobody carries, and whose turn it is. Empty while the journal cannot be read.

        The journal is opened anew and closed each time: no connection may be alive when the process forks.
        """
        from deployments.journals.journal_url import open_journal
        from tasks.rollout_engine.takeover import orphans

        try:
            journal = open_journal(self.settings.journal_address)
            try:
                found = orphans(journal, self.clock.now(), this_place(self.settings))
            finally:
                journal.close()
        except SeatrialError:
            return ()
        return tuple(each for each in found if self._is_its_turn(each))

    def _is_its_turn(self, state: RolloutState) -> bool:
        now, last = self.clock.monotonic(), self._tries.get(state.rollout_id)
        vain = last.number if last is not None and last.seen == state.updated_at else 0
        pause = min(self.first_pause * 2 ** max(0, vain - 1), _LONGEST_PAUSE)
        if last is not None and now - last.at < pause.total_seconds():
            return False
        self._tries[state.rollout_id] = _Try(now, state.updated_at, vain + 1)
        return True


def carry_on(settings: Settings, state: RolloutState) -> int:
    """In a process of its own: carry the rollout to its end; returns an exit code. Its words go to the warm log.

    After `seatrial down` it does nothing: whoever opened the doors would start the gateway again.
    """
    from deployments.local_platform.environment import environment_with_password
    from deployments.local_platform.lifecycle import live_addresses
    from deployments.supervision import Supervisor
    from flows.entrypoints import console

    if not Supervisor.of(settings).running():
        return 0
    os.environ.update(environment_with_password(settings, live_addresses(settings)))
    from flows.parameters import RolloutRequest
    from flows.rollout import carry_without_prefect, rollout
    from flows.submission import run_here
    from tasks.prefect_runs import is_of_prefect
    from tasks.secondary_errors import full_text

    def carry() -> None:
        try:
            run_here(rollout, RolloutRequest(product=state.product, rollout_id=state.rollout_id))
        except Exception as error:
            if not is_of_prefect(error):
                raise
            carry_without_prefect(state.product, state.rollout_id)

    console.show_progress(quiet=False)
    try:
        carry()
    except SeatrialError as error:
        return console.fail(f"{state.product}: {full_text(error)}", error.exit_code)
    return 0
