"""A runner that is killed: `python -m tests.cluster.runner WISH` carries a rollout, one life after the other.

Each life ends with SIGKILL at the first moment at which none ended before: when a step is about to be done, when it is
done but not yet written down, and when the phase has changed. The next life carries the rollout on from the journal in
the cluster, until one comes to its end. WISH is a file with what a runner is told; a line is printed for each death.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deployments import wiring
from deployments.analysis.evidence import Block
from deployments.cluster import Cluster
from deployments.journals.kubernetes import ClusterJournal
from deployments.journals.protocol import Event, Lease
from deployments.registry import ModelRegistry
from deployments.rollout.state import RolloutState
from deployments.settings import Settings
from deployments.spec import RolloutSection, Strategy
from deployments.strategies.plan import Goal
from tasks.rollout_engine.takeover import Wish, begin, take_over
from tests.cluster.trials import carried, doors_to

Die = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What a runner is told: what to roll out, and where registry, home and cluster are."""

    product: str
    version: int
    namespace: str
    tracking: str
    home: str
    section: str

    def wish(self) -> Wish:
        """For a canary."""
        section = RolloutSection.model_validate_json(self.section)
        rollout = f"{self.product}-{self.version}-killed"
        return Wish(rollout, self.product, self.version, section, Strategy.CANARY, Goal.PROMOTE)


class DyingJournal:
    """A journal whose writer may die around each thing that it writes."""

    def __init__(self, journal: ClusterJournal, die: Die) -> None:
        self._journal, self._die = journal, die

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    def record(self, event: Event) -> None:
        """See `Journal`."""
        self._journal.record(event)
        if event.kind == "step.intended":
            self._die(f"before {event.detail['step']}")

    def save(self, state: RolloutState, lease: Lease, block: Block | None = None) -> None:
        """See `Journal`."""
        self._die(f"unsaved {state.phase} {state.done}")
        self._journal.save(state, lease, block)
        self._die(f"saved {state.phase} {state.done}")


def live(order: Order, ended_at: set[str]) -> None:
    """One life, in a process of its own: it ends with the rollout, or before."""

    def die(moment: str) -> None:
        if moment not in ended_at:
            print(moment, flush=True)  # noqa: T201 - whoever started us reads it
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(home=Path(order.home), project=Path(order.home), tracking_uri=order.tracking)
    wiring.current = lambda: settings  # type: ignore[assignment]
    wish, cluster = order.wish(), Cluster.of(order.namespace)
    doors = doors_to(
        cluster, wish.section.kubernetes, settings, ModelRegistry(settings.mlflow_uri, settings.keys_folder)
    )
    mortal = replace(doors, journal=DyingJournal(ClusterJournal(cluster), die))  # type: ignore[arg-type]
    known = {each.rollout_id: each for each in mortal.journal.rollouts(order.product)}
    left = known.get(wish.rollout_id)
    state = begin(wish, mortal) if left is None else take_over(left, mortal)
    end = carried(state, mortal)
    print(f"ended {end.phase} {end.reason}", flush=True)  # noqa: T201 - likewise


def main(place: Path) -> int:
    """Lives until one comes to its end; that one's exit code."""
    order = Order(**json.loads(place.read_text()))
    ended_at: set[str] = set()
    while True:
        told, tell = os.pipe()
        if (child := os.fork()) == 0:
            os.close(told)
            os.dup2(tell, 1)
            live(order, ended_at)
            os._exit(0)
        os.close(tell)
        with os.fdopen(told) as lines:
            said = [line.strip() for line in lines]
        _, status = os.waitpid(child, 0)
        print("\n".join(said), flush=True)  # noqa: T201 - likewise
        if not os.WIFSIGNALED(status):
            return os.WEXITSTATUS(status)
        ended_at |= set(said)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
