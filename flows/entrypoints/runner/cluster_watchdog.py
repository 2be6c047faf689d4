"""`python -m flows.entrypoints.runner.cluster_watchdog`: in a cluster, rollouts that nobody carries go to the worker.

Each becomes a run of the flow `rollout`, which goes on where the journal says it was. What goes wrong is said, and
tried again: the journal or Prefect may be away for a while.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from deployments.clock import SystemClock
from deployments.rollout.state import RolloutState
from deployments.settings import current
from flows.entrypoints.program_log import say
from flows.entrypoints.runner.watchdog import EVERY, Watchdog

# The kubelet ends a program that did not touch it for a while.
ALIVE = Path("/tmp/alive")  # noqa: S108 - of its own pod
# A Job takes that long to become a carrier, where the image has to be pulled.
_FIRST_PAUSE = timedelta(minutes=2)
HandOver = Callable[[RolloutState], object]


def main() -> NoReturn:
    """Looks every 5 s, for ever."""
    clock = SystemClock()
    watchdog = Watchdog(current(), clock, _FIRST_PAUSE)
    while True:
        look(watchdog, hand_to_worker)
        ALIVE.touch()
        clock.sleep(EVERY)


def look(watchdog: Watchdog, hand_over: HandOver) -> None:
    """Hands over whatever needs a carrier now; one that fails does not keep the others waiting."""
    for orphan in watchdog.orphans():
        try:
            hand_over(orphan)
        except Exception as error:  # noqa: BLE001 - the edge of the process: Prefect fails in any way it likes
            say(f"{orphan.product}: its rollout has no carrier, and none could be started ({type(error).__name__})")
        else:
            say(f"{orphan.product}: its rollout had no carrier; a run carries it on")


def hand_to_worker(orphan: RolloutState) -> None:
    """A run of the deployment `rollout`, by Prefect's API."""
    from flows.parameters import RolloutRequest
    from flows.submission import run_detached

    run_detached("rollout/rollout", RolloutRequest(product=orphan.product, rollout_id=orphan.rollout_id))


if __name__ == "__main__":
    main()
