"""What a rollout asks of an API server: requests of each strategy, and of a hundred products on one control plane.

Rollouts run on a fake cluster in simulated time, in which a request takes none: what follows upon each other within a
moment counts as asked at once. All in the cluster means that the journal is there, and that pods are asked for their
counts through the server; otherwise there are a database and a Prometheus. Products share no object, so that none makes
another's requests more; each is run in a cluster of its own, and their requests are laid over one another.
"""

import argparse
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

from deployments.journals.cluster import ClusterJournal
from deployments.metrics.live import LiveMetrics
from deployments.metrics.pairs import PairJoiner
from deployments.metrics.pods import PodCounters
from deployments.rollout.state import Phase
from deployments.spec import ABSection, RolloutSection, ShadowSection, Strategy
from tests.contracts.kubernetes.cluster_world import ClusterWorld
from tests.fakes.kubernetes import FakeKubernetes

PRODUCTS: Final = 100
SECTION: Final = RolloutSection(replicas=2, ab=ABSection(sample=10_000), shadow=ShadowSection(sample=10_000))
# What client-go lets a controller ask: requests a second, and at once after a rest.
RATE: Final = 50
BURST: Final = 100


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

    def read(self, *arguments: Any) -> Any:
        """See `Metrics.read`."""
        self._asked.read(*arguments)
        return self._metrics.read(*arguments)


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


def rates(begins: Sequence[float], runs: Sequence[Run]) -> tuple[float, int, float]:
    """Requests a second on average, in the busiest second, and the longest wait at client-go's rate, in seconds."""
    moments = sorted(begin + at for begin, each in zip(begins, runs, strict=True) for at, *_ in each.calls)
    length = max(begin + each.seconds for begin, each in zip(begins, runs, strict=True)) - min(begins)
    busiest = max(Counter(int(moment) for moment in moments).values())
    return len(moments) / length, busiest, _longest_wait(moments)


def _longest_wait(moments: Sequence[float]) -> float:
    """By a bucket of `BURST` tokens that fills at `RATE`; a request takes one, and waits for it in turn."""
    tokens, last, longest = float(BURST), moments[0], 0.0
    for moment in moments:
        now = max(moment, last)
        tokens = min(BURST, tokens + (now - last) * RATE)
        wait = max(0.0, (1 - tokens) / RATE)
        tokens, last = tokens + wait * RATE - 1, now + wait
        longest = max(longest, last - moment)
    return longest


def main(distinct: int) -> None:
    """Print both tables; `distinct` rollouts of each strategy are run, and as often as needed laid side by side."""
    console = Console()
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
        _, busiest, _ = rates([0.0], [each])
        numbers = (f"{count / minutes:.0f}", busiest, asked["pods/proxy"], journal, writes)
        table.add_row(each.strategy, f"{minutes:.1f}", f"{count:,}", *map(str, numbers))
    return table


def _together(settings: Mapping[str, Sequence[Run]]) -> Table:
    """Clients wait if they keep to client-go's rate: one that all share, or one for each rollout, as flows have it."""
    columns = "", "begun", "a second", "busiest second", "waits of one client", "of one for each"
    table = Table(*columns, title=f"{PRODUCTS} rollouts at once, {RATE} requests a second and {BURST} at once allowed")
    for setting, found in settings.items():
        runs, chance = [found[number % len(found)] for number in range(PRODUCTS)], random.Random(1)
        alone = max(rates([0.0], [each])[2] for each in found)
        for name, within in (("in the same moment", 0.0), ("within ten minutes", 600.0)):
            average, busiest, wait = rates([chance.uniform(0, within) for _ in runs], runs)
            table.add_row(setting, name, f"{average:.1f}", f"{busiest:,}", f"{wait:,.1f} s", f"{alone:.1f} s")
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What rollouts ask of an API server, in simulated time.")
    parser.add_argument("--distinct", type=int, default=2, help="rollouts run of each strategy")
    main(parser.parse_args().distinct)
