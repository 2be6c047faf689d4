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
from datetime import timedelta

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.light_target import Behaviour
from benchmarks.load import PRODUCT, Answers
from benchmarks.stage import Stage, UnderLoad, load, stage
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.rollout.orders import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import (
    ABSection,
    AnalysisSection,
    BlueGreenSection,
    CanarySection,
    CanaryStep,
    MatchRule,
    RolloutSection,
    ShadowSection,
    Strategy,
)
from deployments.strategies.plan import Goal
from tasks.rollouts.beginning import Wish
from tasks.rollouts.ordering import give

SECOND = timedelta(seconds=1)
SECTION = RolloutSection(
    replicas=2,
    bake=SECOND,
    drain_timeout=10 * SECOND,
    canary=CanarySection(steps=(CanaryStep(weight=5), CanaryStep(weight=25), CanaryStep(weight=50)), wait=SECOND),
    blue_green=BlueGreenSection(preview=SECOND),
    ab=ABSection(share=50, match=MatchRule(header="x-group", value="beta"), sample=1000),
    shadow=ShadowSection(share=50, sample=1000),
    analysis=AnalysisSection(interval=SECOND / 2, deadline=60 * SECOND),
)
HARMFUL_RATE = 400.0
HARMS = (Behaviour(errors=0.3), Behaviour(slow=1.0, slow_ms=100.0), Behaviour(errors=1.0))
AIM_SECONDS = 2.0
LEGS = 7
console = Console(width=130)


@dataclass(frozen=True, slots=True)
class Leg:
    """One rollout: between which moments of the monotonic clock it and its share of the requests lie."""

    name: str
    began: float
    ended: float
    over: float
    state: RolloutState
    as_wanted: bool


def main(requests: int, rate: float, harmful: int) -> int:
    """Measure both and print them; the exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with stage() as on:
        unharmed = _measure_strategies(on, requests, rate)
    if not harmful:
        return 0 if unharmed else 1
    with stage() as on:
        quick = _measure_harm(on, harmful)
    return 0 if unharmed and quick else 1


def _measure_strategies(on: Stage, requests: int, rate: float) -> bool:
    _carried(on, Strategy.ROLLING)
    with load(on, rate) as running:
        legs = [leg for each in _legs(on) for leg in [_leg(on, running, each, requests / LEGS / rate)]]
        while running.due < requests:
            time.sleep(0.01)
    assert running.answers is not None
    return _print_strategies(on, legs, running.answers)


def _legs(on: Stage) -> list[tuple[str, Callable[[], RolloutState], Phase, bool]]:
    """Name, the rollout, the phase in which it is to end, and whether its candidate is champion then."""
    return [
        *(
            (strategy.value, lambda strategy=strategy: _carried(on, strategy), Phase.DONE, arrives)
            for strategy, arrives in (
                (Strategy.ROLLING, True),
                (Strategy.BLUE_GREEN, True),
                (Strategy.CANARY, True),
                (Strategy.AB, False),
                (Strategy.SHADOW, False),
            )
        ),
        ("canary, abort at 25 %", lambda: _aborted(on), Phase.ROLLED_BACK, False),
        ("rollback", lambda: _rolled_back(on), Phase.DONE, True),
    ]


def _leg(
    on: Stage, running: UnderLoad, wanted: tuple[str, Callable[[], RolloutState], Phase, bool], seconds: float
) -> Leg:
    name, rollout, phase, arrives = wanted
    began = time.monotonic()
    state = rollout()
    over = time.monotonic()
    time.sleep(max(0.0, began + seconds - over))
    champion = on.registry.champion(PRODUCT)
    arrived = champion is not None and champion.version == state.candidate
    return Leg(name, began, time.monotonic(), over, state, (state.phase, arrived) == (phase, arrives))


def _wish(on: Stage, strategy: Strategy, section: RolloutSection = SECTION) -> Wish:
    version = on.new_version()
    return Wish(f"v{version}", PRODUCT, version, section, strategy, Goal.PROMOTE)


def _carried(on: Stage, strategy: Strategy) -> RolloutState:
    return on.carry(_wish(on, strategy))


def _aborted(on: Stage) -> RolloutState:
    """A person aborts the canary while it is watched at its second weight."""
    wish = _wish(on, Strategy.CANARY)
    with ThreadPoolExecutor(1) as carrier:
        carried = carrier.submit(on.carry, wish)
        while not carried.done() and not _is_watched_at(on, wish, 25):
            time.sleep(0.05)
        give(PRODUCT, Verb.ABORT, "benchmark", "half-way", on.journal, on.doors.clock)
        return carried.result()


def _is_watched_at(on: Stage, wish: Wish, percent: float) -> bool:
    state = next((each for each in on.journal.rollouts(PRODUCT) if each.rollout_id == wish.rollout_id), None)
    split = state.split if state else None
    return bool(state and split and state.watched and split.weights.of(wish.candidate) == percent)


def _rolled_back(on: Stage) -> RolloutState:
    former = on.registry.previous(PRODUCT)
    assert former is not None
    return on.carry(Wish("rollback", PRODUCT, former.version, SECTION, Strategy.ROLLING, Goal.REINSTATE))


def _print_strategies(on: Stage, legs: list[Leg], answers: Answers) -> bool:
    table = _table(f"{len(answers):,} requests under constant load, all of them through one gateway")
    for column in ("rollout", "ended", "it took", "requests", "failed", "p50 ms", "p99 ms", "longest"):
        table.add_column(column, justify="left" if column in {"rollout", "ended"} else "right")
    for leg in legs:
        mine = answers.where((answers.due >= leg.began) & (answers.due < leg.ended))
        ended = leg.state.phase.value if leg.as_wanted else f"[red]{leg.state.phase.value}: {leg.state.reason}"
        table.add_row(leg.name, ended, f"{leg.over - leg.began:.1f} s", *_told(mine))
    table.add_row("all", "", "", *_told(answers))
    console.print(table)
    agree = _print_counts(on, answers)
    return agree and not _failed(answers) and all(leg.as_wanted for leg in legs)


def _told(answers: Answers) -> tuple[str, ...]:
    took = 1000 * (answers.done - answers.due)
    p50, p99, longest = np.nanquantile(took, [0.5, 0.99, 1.0])
    return f"{len(answers):,}", f"{_failed(answers)}", f"{p50:.1f}", f"{p99:.0f}", f"{longest:.0f}"


def _failed(answers: Answers) -> int:
    return int((answers.code != 200).sum())


def _print_counts(on: Stage, answers: Answers) -> bool:
    """Whether the gateway counted for each version just what the client got from it."""
    counted: dict[int, int] = {}
    for source, counts in on.doors.router.tallies(PRODUCT).items():
        counted[source.version] = counted.get(source.version, 0) + counts.requests
    versions = sorted({*counted, *answers.version.tolist()})
    got = {version: int((answers.version == version).sum()) for version in versions}
    agree = counted == {version: count for version, count in got.items() if count}
    console.print(
        f"The gateway counted {'the same' if agree else '[red]something else'} for each version: "
        + ", ".join(f"v{version} {got[version]:,}/{counted.get(version, 0):,}" for version in versions)
    )
    for code in sorted({*answers.code.tolist()} - {200}):
        failed = answers.where(answers.code == code)
        console.print(f"[red]code {code}: {len(failed)}, by versions {sorted({*failed.version.tolist()})}")
    return agree


def _measure_harm(on: Stage, harmful: int) -> bool:
    section = SECTION.model_copy(update={"replicas": 1, "canary": CanarySection(steps=(CanaryStep(weight=50),))})
    _carried(on, Strategy.ROLLING)
    ended: list[RolloutState] = []
    with load(on, HARMFUL_RATE) as running:
        for number in range(harmful):
            wish = _wish(on, Strategy.CANARY, section)
            on.target.behaviours[wish.candidate] = HARMS[number % len(HARMS)]
            ended.append(on.carry(wish))
    assert running.answers is not None
    return _print_harm(on, ended, running.answers)


def _print_harm(on: Stage, ended: list[RolloutState], answers: Answers) -> bool:
    after = np.array([_seconds_to_zero(on, state, answers) for state in ended])
    backs = [_is_back_by_evidence(on, state) for state in ended]
    others = answers.where(answers.version == 1)
    strangers = int((answers.version == 0).sum())
    p50, p99, longest = np.quantile(after, [0.5, 0.99, 1.0])
    table = _table(f"{len(ended)} harmful canaries at 50 % of {HARMFUL_RATE:g} requests/s: from the verdict to 0 %")
    for column in ("p50", "p99", "longest", "rolled back", "champion's failures", "answered by nobody"):
        table.add_column(column, justify="right")
    times = [f"{seconds:.2f} s" for seconds in (p50, p99, longest)]
    table.add_row(*times, f"{sum(backs)}", f"{_failed(others)}", f"{strangers}")
    console.print(table)
    return bool(all(backs) and p99 <= AIM_SECONDS and not _failed(others) and not strangers)


def _is_back_by_evidence(on: Stage, state: RolloutState) -> bool:
    verdict = judge(on.journal.evidence(state.rollout_id), state.section.analysis)
    return state.phase is Phase.ROLLED_BACK and verdict.ruling is Ruling.ROLL_BACK


def _seconds_to_zero(on: Stage, state: RolloutState, answers: Answers) -> float:
    """From the verdict to the last request that was sent and still answered by the canary; 0 if there was none."""
    sent = answers.sent[answers.version == state.candidate]
    return max(0.0, float(sent.max()) - on.journal.given_up[state.rollout_id])


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Whether users notice a rollout.")
    parser.add_argument("--requests", type=int, default=100_000, help="through all strategies, an abort and a rollback")
    parser.add_argument("--rate", type=float, default=1200.0, help="requests a second")
    parser.add_argument("--harmful", type=int, default=50, help="harmful canaries")
    given = parser.parse_args()
    raise SystemExit(main(given.requests, given.rate, given.harmful))
