"""Whether users notice a rollout: requests that fail under constant load, and how long harm goes on after the verdict.

    python -m benchmarks.strategies [--requests 100000] [--rate 1200] [--harmful 50]

The engine, the gateway, the journal and the metrics are the real ones; only the models are light, and every wait is
short. A request fails unless it is answered with 200; the client never asks again. Everything listens on loopback and
in a folder below /tmp, for about six minutes. The exit code is 1 if an aim is missed.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import harmful
from benchmarks.answers import Answers
from benchmarks.load import PRODUCT
from benchmarks.rollouts import carry, promotion, reinstatement
from benchmarks.stage import Stage, load, stage
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Strategy
from tasks.rollout_engine.command_submission import place_order
from tasks.rollout_engine.takeover import Wish


@dataclass(frozen=True, slots=True)
class Leg:
    """One rollout under load: the phase that it is to end in, and whether its candidate is to be champion then.

    Whoever is champion then must be the only one with servers.
    """

    name: str
    rollout: Callable[[Stage], RolloutState]
    phase: Phase
    arrives: bool


@dataclass(frozen=True, slots=True)
class Done:
    """A leg's end: it and its share of the requests lie between these moments of the monotonic clock (seconds)."""

    leg: Leg
    state: RolloutState
    as_wanted: bool
    began: float
    over: float
    ended: float


def _carried(strategy: Strategy) -> Callable[[Stage], RolloutState]:
    return lambda on: carry(on, promotion(on, strategy))


def _aborted(on: Stage) -> RolloutState:
    """A person aborts the canary while it is watched at its second weight."""
    wish = promotion(on, Strategy.CANARY)
    with ThreadPoolExecutor(1) as carrier:
        carried = carrier.submit(carry, on, wish)
        while not carried.done() and not _is_watched_at(on, wish, 25):
            time.sleep(0.05)
        if not carried.done():
            place_order(PRODUCT, Verb.ABORT, "benchmark", "half-way", on.journal, on.doors.clock)
        return carried.result()


def _is_watched_at(on: Stage, wish: Wish, percent: float) -> bool:
    state = next((each for each in on.journal.rollouts(PRODUCT) if each.rollout_id == wish.rollout_id), None)
    split = state.split if state else None
    return bool(state and split and state.watched and split.weights.of(wish.candidate) == percent)


def _rolled_back(on: Stage) -> RolloutState:
    return carry(on, reinstatement(on))


_LEGS: Final = (
    Leg("rolling", _carried(Strategy.ROLLING), Phase.DONE, arrives=True),
    Leg("blue/green", _carried(Strategy.BLUE_GREEN), Phase.DONE, arrives=True),
    Leg("canary", _carried(Strategy.CANARY), Phase.DONE, arrives=True),
    Leg("A/B", _carried(Strategy.AB), Phase.DONE, arrives=False),
    Leg("shadow", _carried(Strategy.SHADOW), Phase.DONE, arrives=False),
    Leg("canary, aborted at 25 %", _aborted, Phase.ROLLED_BACK, arrives=False),
    Leg("rollback", _rolled_back, Phase.DONE, arrives=True),
)


def main(requests: int, rate: float, canaries: int) -> int:
    """Measure both and print them; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    console = Console(width=130)
    with stage() as on:
        unnoticed = _measure(on, requests, rate, console)
    if not canaries:
        return 0 if unnoticed else 1
    with stage() as on:
        quick = harmful.measure(on, canaries, console)
    return 0 if unnoticed and quick else 1


def _measure(on: Stage, requests: int, rate: float, console: Console) -> bool:
    _carried(Strategy.ROLLING)(on)
    with load(on, rate) as running:
        done = [_run(on, leg, requests / len(_LEGS) / rate) for leg in _LEGS]
        while running.due < requests:
            time.sleep(0.01)
    assert running.answers is not None
    answers = running.answers
    console.print(_table(done, answers))
    agree = _print_counts(on, answers, console)
    return agree and not answers.failed and all(each.as_wanted for each in done)


def _run(on: Stage, leg: Leg, seconds: float) -> Done:
    """The rollout, and then traffic until the leg has lasted so long."""
    began = time.monotonic()
    state = leg.rollout(on)
    over = time.monotonic()
    time.sleep(max(0.0, began + seconds - over))
    champion = on.registry.champion(PRODUCT)
    assert champion is not None
    arrived, alone = champion.version == state.candidate, on.target.versions(PRODUCT) == (champion.version,)
    as_wanted = (state.phase, arrived, alone) == (leg.phase, leg.arrives, True)
    return Done(leg, state, as_wanted, began, over, time.monotonic())


def _table(done: list[Done], answers: Answers) -> Table:
    table = Table(title=f"{len(answers):,} requests under constant load, through one gateway", title_justify="left")
    for column in ("rollout", "ended", "it took", "requests", "failed", "p50 ms", "p99 ms", "longest"):
        table.add_column(column, justify="left" if column in {"rollout", "ended"} else "right")
    for each in done:
        mine = answers.where((answers.due >= each.began) & (answers.due < each.ended))
        phase = each.state.phase.value.replace("_", " ")
        ended = phase if each.as_wanted else f"[red]{phase}: {each.state.reason}"
        table.add_row(each.leg.name, ended, f"{each.over - each.began:.1f} s", *_told(mine))
    table.add_row("all", "", "", *_told(answers))
    return table


def _told(answers: Answers) -> tuple[str, ...]:
    took = 1000 * (answers.done - answers.due)
    p50, p99, longest = np.nanquantile(took, [0.5, 0.99, 1.0])
    return f"{len(answers):,}", f"{answers.failed}", f"{p50:.1f}", f"{p99:.0f}", f"{longest:.0f}"


def _print_counts(on: Stage, answers: Answers, console: Console) -> bool:
    """Whether the gateway counted for each version just what the client got from it, and no error.

    An attempt that broke off is one, too, though the client noticed nothing: a server that leaves must leave in peace.
    """
    counted: dict[int, int] = {}
    errors = 0
    for source, counts in on.doors.router.tallies(PRODUCT).items():
        counted[source.version] = counted.get(source.version, 0) + counts.requests
        errors += counts.errors + sum(counts.given_up)
    versions = sorted({*counted, *answers.version.tolist()})
    got = {version: int((answers.version == version).sum()) for version in versions}
    agree = counted == {version: count for version, count in got.items() if count}
    console.print(
        f"Answers by version, the client's count/the gateway's ({'the same' if agree else '[red]not the same[/red]'}): "
        + ", ".join(f"v{version} {got[version]:,}/{counted.get(version, 0):,}" for version in versions)
    )
    console.print(f"Errors, broken attempts and given-up requests that the gateway counted: {errors}")
    for code in sorted({*answers.code.tolist()} - {200}):
        failed = answers.where(answers.code == code)
        console.print(f"[red]code {code}: {len(failed)}, by versions {sorted({*failed.version.tolist()})}")
    return agree and not errors


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Whether users notice a rollout.")
    parser.add_argument("--requests", type=int, default=100_000, help="through all strategies, an abort and a rollback")
    parser.add_argument("--rate", type=float, default=1200.0, help="requests a second")
    parser.add_argument("--harmful", type=int, default=50, help="harmful canaries; 0 leaves them out")
    given = parser.parse_args()
    raise SystemExit(main(given.requests, given.rate, given.harmful))
