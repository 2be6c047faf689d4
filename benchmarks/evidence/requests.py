"""Candidates judged by requests: false rollbacks, wrong promotions, and time to detection.

Simulates rollouts of 20 minutes, five at each of the weights 5, 10, 25 and 50 %, and asks `judge` after every block of
counts. Two rules in common use look at the same counts in the same run, once a minute: a fixed threshold (success of at
least 99 % in the last minute; the fifth failed check rolls back: the usual Flagger recipe), and a one-sided z-test at
5 % over all counts so far. Seeded: the same table comes out every time.
"""

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from rich.table import Table

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Pairs, Sums
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection, MetricRule

Total = tuple[int, int]  # requests, and errors among them
START = datetime(2026, 1, 1, tzinfo=UTC)
MARGIN = 0.01
LATENCY = np.diff(1 / (1 + (25 / np.array([1e-9, *LATENCY_BOUNDS_MS, 1e9])) ** 2))  # log-logistic, median 25 ms
ONLY_DEFAULTS = AnalysisSection()
ALL_METRICS = AnalysisSection(
    metrics=(
        MetricRule(metric="error_rate", margin=MARGIN, limit=0.1, prove=True),
        MetricRule(metric="latency", margin=1.0, limit=2000),
        MetricRule(metric="predictions", margin=0.5),
        MetricRule(metric="disagreement", margin=0.1, limit=0.3),
        MetricRule(metric="accuracy", margin=0.05),
        MetricRule(metric="feedback.clicks", margin=0.02),
    )
)


@dataclass(frozen=True, slots=True)
class World:
    """Requests a second, error rates, by how many times traffic and error rates swing, and one weight per minute."""

    rps: float
    stable: float = 0.005
    candidate: float = 0.005
    swing: float = 1.0
    weights: tuple[float, ...] = (0.05,) * 5 + (0.10,) * 5 + (0.25,) * 5 + (0.50,) * 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """When each rule rolled back, and when the judgement first promoted, in minutes; None if never."""

    rolled_back: float | None
    promoted: float | None
    by_threshold: int | None
    by_z_test: int | None


def tables(runs: int) -> Iterator[Table]:
    """Measured one after another, with so many healthy rollouts in all."""
    return (measure(runs) for measure in (_broken, _worse, _healthy))


def milliseconds_of_a_day() -> float:
    """One judgement of 8,640 blocks: the best of five."""
    blocks = list(_blocks(World(50, weights=(0.05,) * 1440), np.random.default_rng(30), False, 6))
    times = []
    for _ in range(5):
        began = time.perf_counter()
        judge(blocks, ONLY_DEFAULTS)
        times.append(1000 * (time.perf_counter() - began))
    return min(times)


def _healthy(runs: int) -> Table:
    table = _table("False rollbacks of healthy candidates (0.5 % errors in both), a look every minute")
    worlds = {
        "2 requests/s": World(2),
        "10 requests/s": World(10),
        "50 requests/s": World(50),
        "10 requests/s, 3x swing": World(10, swing=3),
    }
    each = -(-runs // len(worlds))
    everything: list[Outcome] = []
    for seed, (name, world) in enumerate(worlds.items()):
        outcomes = _rollouts(world, ALL_METRICS, each, seed)
        everything += outcomes
        _add(table, f"{name}, all six metrics", outcomes)
    _add(table, "together", everything)
    return table


def _worse(runs: int) -> Table:
    table = _table("Candidates worse by a part of the margin (1 point); the default metrics, a look every minute")
    for seed, times in enumerate((0.5, 1.0, 1.5), start=10):
        outcomes = _rollouts(World(10, candidate=0.005 + times * MARGIN), ONLY_DEFAULTS, runs // 4, seed)
        _add(table, f"margin x {times:g}, 10 requests/s", outcomes)
    return table


def _broken(runs: int) -> Table:
    table = _table("Detection at 50 requests/s and a 5 % canary, stable 0.5 % errors; the default metrics, every 10 s")
    for seed, rate in enumerate((0.05, 0.025), start=20):
        world = World(50, candidate=rate, weights=(0.05,) * 10)
        _add(table, f"candidate {rate:.1%} errors", _rollouts(world, ONLY_DEFAULTS, runs // 4, seed, a_minute=6))
    return table


def _rollouts(world: World, rules: AnalysisSection, runs: int, seed: int, a_minute: int = 1) -> list[Outcome]:
    chance = np.random.default_rng(seed)
    return [
        _rollout(list(_blocks(world, chance, rules is ALL_METRICS, a_minute)), rules, a_minute) for _ in range(runs)
    ]


def _rollout(blocks: Sequence[Block], rules: AnalysisSection, a_minute: int) -> Outcome:
    rolled_back, promoted = None, None
    for look in range(1, len(blocks) + 1):
        ruling = judge(blocks[:look], rules).ruling
        if ruling is Ruling.PROMOTE and promoted is None:
            promoted = look / a_minute
        if ruling is Ruling.ROLL_BACK:
            rolled_back = look / a_minute
            break
        assert ruling is not Ruling.HOLD, "the split is simulated as configured"
    minutes = [_both(blocks[begin : begin + a_minute]) for begin in range(0, len(blocks), a_minute)]
    return Outcome(rolled_back, promoted, by_threshold(minutes), by_z_test(minutes))


def _both(blocks: Sequence[Block]) -> tuple[Total, Total]:
    return _total([block.stable for block in blocks]), _total([block.candidate for block in blocks])


def _total(counts: Sequence[Counts]) -> Total:
    return sum(each.requests for each in counts), sum(each.errors for each in counts)


def by_threshold(minutes: Sequence[tuple[Total, Total]]) -> int | None:
    """The minute in which more than 1 % of the candidate's requests have failed for the fifth time; None: none."""
    failed = 0
    for minute, (_, (requests, errors)) in enumerate(minutes, start=1):
        failed += errors > 0.01 * requests
        if failed == 5:
            return minute
    return None


def by_z_test(minutes: Sequence[tuple[Total, Total]]) -> int | None:
    """The first minute in which the candidate has significantly more errors (one-sided, 5 %); None: none."""
    n_s = e_s = n_c = e_c = 0
    for minute, (stable, candidate) in enumerate(minutes, start=1):
        n_s, e_s, n_c, e_c = n_s + stable[0], e_s + stable[1], n_c + candidate[0], e_c + candidate[1]
        if not n_s or not n_c:
            continue
        rate = (e_s + e_c) / (n_s + n_c)
        error = (rate * (1 - rate) * (1 / n_s + 1 / n_c)) ** 0.5
        if error and (e_c / n_c - e_s / n_s) / error > 1.645:
            return minute
    return None


def _blocks(world: World, chance: np.random.Generator, everything: bool, a_minute: int) -> Iterator[Block]:
    phase = chance.uniform(0, 2 * np.pi)
    for position in range(len(world.weights) * a_minute):
        share = world.weights[position // a_minute]
        wave = np.sin(phase + 2 * np.pi * position / (len(world.weights) * a_minute))
        factor = world.swing ** (wave / 2)  # from trough to peak: `swing` times
        total = chance.poisson(world.rps * factor * 60 / a_minute)
        candidate = chance.binomial(total, share)
        at = START + position * timedelta(minutes=1) / a_minute
        yield Block(
            at,
            at + timedelta(minutes=1) / a_minute,
            0,
            share,
            _counts(total - candidate, world.stable * factor, chance, everything),
            _counts(candidate, world.candidate * factor, chance, everything),
            _pairs(total // 5, chance) if everything else Pairs(),
        )


def _counts(requests: int, rate: float, chance: np.random.Generator, everything: bool) -> Counts:
    errors = int(chance.binomial(requests, rate))
    latency = tuple(chance.multinomial(requests, LATENCY / LATENCY.sum()).tolist())
    if not everything:
        return Counts(int(requests), errors, latency)
    labels = dict(zip("abcd", chance.multinomial(requests, [0.6, 0.3, 0.08, 0.02]).tolist(), strict=True))
    clicks = int(chance.binomial(requests, 0.1))
    return Counts(int(requests), errors, latency, labels, {"clicks": Sums(int(requests), clicks, clicks)})


def _pairs(compared: int, chance: np.random.Generator) -> Pairs:
    """Mirrored pairs that disagree as often as they may, and in which both versions are right equally often."""
    disagreed = int(chance.binomial(compared, 0.1))
    only_stable = int(chance.binomial(disagreed, 0.5))
    return Pairs(int(compared), disagreed, only_stable, disagreed - only_stable)


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in (
        "what",
        "runs",
        "rolled back",
        "median at",
        "promoted",
        "median at",
        "fixed threshold",
        "peeked z-test",
    ):
        table.add_column(column)
    return table


def _add(table: Table, name: str, outcomes: Sequence[Outcome]) -> None:
    backs = [outcome.rolled_back for outcome in outcomes]
    forths = [outcome.promoted for outcome in outcomes]
    others = [[outcome.by_threshold for outcome in outcomes], [outcome.by_z_test for outcome in outcomes]]
    said = (f"{_part(each)}, {_median(each)}" for each in others)
    table.add_row(name, f"{len(outcomes):,}", _part(backs), _median(backs), _part(forths), _median(forths), *said)


def _part(minutes: Sequence[float | None]) -> str:
    return f"{sum(minute is not None for minute in minutes) / len(minutes):.2%}"


def _median(minutes: Sequence[float | None]) -> str:
    """Over all runs, those in which it never happened counting as never."""
    median = statistics.median(float("inf") if minute is None else minute for minute in minutes)
    return "never" if median == float("inf") else f"{60 * median:.0f} s" if median < 5 else f"{median:.0f} min"
