"""What a rollout asks of an API server: requests of each strategy, and of a hundred products on one control plane.

Rollouts run on a fake cluster in simulated time, in which a request takes none: what follows upon each other within a
moment counts as asked at once. All in the cluster means that the journal is there, and that pods are asked for their
counts through the server; otherwise there are a database and a Prometheus. Products share no object, so that none makes
another's requests more; each is run in a cluster of its own, and their requests are laid over one another. Where they
share a client, each waits for its turn, and all that a rollout asks later comes later by as much.
"""

import argparse
import heapq
import random
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from deployments.clock import ManualClock
from deployments.cluster import rate_limit
from deployments.journals.kubernetes import ClusterJournal
from deployments.metrics.composite import LiveMetrics
from deployments.metrics.paired_predictions import PairJoiner
from deployments.metrics.pods import PodCounters
from deployments.rollout.state import Phase
from deployments.spec import ABSection, RolloutSection, ShadowSection, Strategy
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes

PRODUCTS: Final = 100
_BURST: Final = rate_limit.BURST
SECTION: Final = RolloutSection(replicas=2, ab=ABSection(sample=10_000), shadow=ShadowSection(sample=10_000))


@dataclass(frozen=True)
class Run:
    """One rollout: when it asked what (seconds since it began, method, kind of object), and how long it took."""

    strategy: str
    calls: Sequence[tuple[float, str, str]]
    seconds: float
    phase: Phase


class Asking:
    """The metrics of a world; the pods are asked as well, so that it costs what it costs in a cluster."""

    def __init__(self, metrics: Any, world: ClusterWorld) -> None:
        pods = PodCounters(world.cluster)
        pairs = PairJoiner(pods.servers, lambda product, ids: {}, ask=pods.ask)
        self._metrics, self._asked = metrics, LiveMetrics((pods.counts,), pairs, world.clock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metrics, name)

    def read(self, *arguments: Any, **options: Any) -> Any:
        """See `Metrics.read`."""
        self._asked.read(*arguments, **options)
        return self._metrics.read(*arguments, **options)


def run(strategy: Strategy, seed: int, *, harmful: bool = False, all_in_cluster: bool = True) -> Run:
    """One rollout of v2 beside v1, both with two pods that take 20 seconds to start."""
    with tempfile.TemporaryDirectory() as folder, FakeKubernetes() as api:
        world = ClusterWorld(Path(folder), api=api)
        world.run(world.wish(1, section=SECTION))
        world.random.seed(seed)
        world.starting = timedelta(seconds=20)
        world.errors = {2: 0.2} if harmful else {}
        doors = world.doors
        if all_in_cluster:
            metrics: Any = Asking(world.metrics, world)
            doors = replace(doors, journal=ClusterJournal(world.cluster), metrics=metrics)
        began, calls = world.clock.monotonic(), []
        api.faults.before_each = lambda asked: calls.append(
            (world.clock.monotonic() - began, asked.method.lower(), _kind(asked.path))
        )
        state = world.run(world.wish(2, strategy, section=SECTION), doors)
        name = f"{strategy.value}, rolled back" if harmful else strategy.value
        return Run(name, calls, world.clock.monotonic() - began, state.phase)


def _kind(path: str) -> str:
    """The plural of what is asked for, with a subresource."""
    parts = path.partition("/namespaces/")[2].split("/")[1:]
    return parts[0] + (f"/{parts[2]}" if len(parts) > 2 else "") if parts else "discovery"


def rates(begins: Sequence[float], runs: Sequence[Run]) -> tuple[float, int]:
    """Requests a second on average, and in the busiest second, if nobody waits."""
    moments = [begin + at for begin, each in zip(begins, runs, strict=True) for at, *_ in each.calls]
    length = max(begin + each.seconds for begin, each in zip(begins, runs, strict=True)) - min(begins)
    return len(moments) / length, max(Counter(map(int, moments)).values())


def waits(begins: Sequence[float], runs: Sequence[Run]) -> tuple[float, float]:
    """Of one client that all share: the longest wait of a request, and by how much the slowest rollout is later."""
    clock, longest, late = ManualClock(), 0.0, [0.0] * len(runs)
    shared = rate_limit.Pace(rate_limit.RATE, _BURST, clock)
    due = [(begin + each.calls[0][0], number, 0) for number, (begin, each) in enumerate(zip(begins, runs, strict=True))]
    heapq.heapify(due)
    while due:
        asked, number, call = heapq.heappop(due)
        clock.advance(timedelta(seconds=max(0.0, asked - clock.monotonic())))
        shared.wait()
        wait = max(0.0, clock.monotonic() - asked)
        longest, late[number] = max(longest, wait), late[number] + wait
        if call + 1 < len(runs[number].calls):
            gap = runs[number].calls[call + 1][0] - runs[number].calls[call][0]
            heapq.heappush(due, (clock.monotonic() + gap, number, call + 1))
    return longest, max(late)


def main(distinct: int) -> None:
    """Print both tables; `distinct` rollouts of each strategy are run, and as often as needed laid side by side."""
    console = Console()
    rate_limit.BURST = 10**9  # type: ignore[misc]  # time is simulated, the fake is not
    each = [(strategy, seed) for seed in range(distinct) for strategy in Strategy]
    inside = [run(*one) for one in each]
    outside = [run(*one, all_in_cluster=False) for one in each]
    console.print(_alone([*inside[: len(Strategy)], run(Strategy.CANARY, 0, harmful=True)], "all in the cluster"))
    console.print(_alone(outside[: len(Strategy)], "journal and counters elsewhere"))
    console.print(_together({"all in the cluster": inside, "journal and counters elsewhere": outside}))


def _alone(runs: Sequence[Run], where: str) -> Table:
    columns = "strategy", "minutes", "requests", "a minute", "busiest second", "of pods", "of the journal", "writes"
    table = Table(*columns, title=f"One rollout, {where}")
    for each in runs:
        assert each.phase is (Phase.ROLLED_BACK if "back" in each.strategy else Phase.DONE)
        asked = Counter(kind for _, _, kind in each.calls)
        writes = sum(method != "get" for _, method, _ in each.calls)
        minutes, count = each.seconds / 60, len(each.calls)
        journal = asked["configmaps"] + asked["leases"]
        _, busiest = rates([0.0], [each])
        numbers = (f"{count / minutes:.0f}", busiest, asked["pods/proxy"], journal, writes)
        table.add_row(each.strategy, f"{minutes:.1f}", f"{count:,}", *map(str, numbers))
    return table


def _together(settings: Mapping[str, Sequence[Run]]) -> Table:
    """What all wait for the one client that they share; and each for one of its own, as flows have it."""
    columns = "", "begun", "a second", "busiest second", "a request waits", "a rollout is late", "with a client each"
    title = f"{PRODUCTS} rollouts at once; one client: {rate_limit.RATE:g} requests a second and {_BURST} after a rest"
    table = Table(*columns, title=title)
    for setting, found in settings.items():
        alone = max(waits([0.0], [each])[0] for each in found)
        runs, chance = [found[number % len(found)] for number in range(PRODUCTS)], random.Random(1)
        for name, within in (("in the same moment", 0.0), ("within ten minutes", 600.0)):
            begins = [chance.uniform(0, within) for _ in runs]
            average, busiest = rates(begins, runs)
            wait, late = waits(begins, runs)
            waited = (f"{wait:.1f} s", f"{late:.0f} s", f"{alone:.1f} s")
            table.add_row(setting, name, f"{average:.1f}", f"{busiest:,}", *waited)
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What rollouts ask of an API server, in simulated time.")
    parser.add_argument("--distinct", type=int, default=2, help="rollouts run of each strategy")
    main(parser.parse_args().distinct)
