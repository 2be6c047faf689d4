"""Candidates judged by users: false rollbacks, wrong promotions and time to detection, beside peers and common rules.

Every rule sees the same quarter of an hour at 5 %, and looks every 30 s. `judge` is asked twice: with the default
metrics, whose three tests of harm share alpha = 1 % and need a margin of a point as well; and with the error rate alone
and no margin, which is what the peers test, one-sided at 1 %.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Final

from rich.table import Table

from benchmarks.evidence.crowd import INTERVAL, LOOKS, Crowd, Seen, simulate
from benchmarks.evidence.peers import NAMES, Peer
from benchmarks.evidence.requests import by_threshold, by_z_test
from deployments.analysis.evidence import Block
from deployments.analysis.judge import judge
from deployments.analysis.verdict import Ruling
from deployments.spec import AnalysisSection, MetricRule

EVERY: Final = 3  # blocks from one look to the next
ERRORS_ALONE: Final = AnalysisSection(metrics=(MetricRule(metric="error_rate", margin=0.0),))
SEATRIAL: Final = {"default metrics": AnalysisSection(), "errors alone": ERRORS_ALONE}
Piece = tuple[int, int]  # which one, counted from 1, of how many
COMMON: Final = ("fixed threshold", "peeked z-test")
_LATER: Final = LOOKS // 2
CROWDS: Final = [(users, requests) for requests in (1, 10, 100) for users in (200, 500, 2000)]
HARMS: Final[Mapping[str, Crowd]] = {
    "5 % errors or resets": Crowd(0, 0, errors=0.05),
    "20 % errors or resets": Crowd(0, 0, errors=0.2),
    "hangs on 40 %": Crowd(0, 0, hangs=0.4),
    "slow, then hangs on 40 %": Crowd(0, 0, hangs=0.4, since=_LATER, slow_first=True),
    "20 % errors from the middle on": Crowd(0, 0, errors=0.2, since=_LATER),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """When each rule rolled back, by rule, in seconds from the start; None: never. `promoted`: when judge first did."""

    backs: Mapping[str, float | None]
    promoted: float | None


def tables(runs: int, only: str | None, piece: Piece, told: Callable[[str], None]) -> Iterator[Table]:
    """One of healthy candidates, then one of harmful ones; `runs` a scenario, a quarter of them if it is harmful.

    `only` "healthy" or "harmful" leaves the other out. Each row is `told` at once: a table takes long.
    Scenarios are dealt out to pieces one by one.
    """
    with ExitStack() as running:
        peers = {name: running.enter_context(Peer(name)) for name in NAMES}
        if only != "harmful":
            yield _healthy(runs, peers, piece, told)
        if only != "healthy":
            yield _harmful(runs, peers, piece, told)


def rollout(crowd: Crowd, seed: int, peers: Mapping[str, Peer]) -> Outcome:
    """What each rule does in one rollout."""
    seen = list(simulate(crowd, seed))
    looks = seen[EVERY - 1 :: EVERY]
    blocks = [each.block for each in seen]
    backs: dict[str, float | None] = {}
    promoted = None
    for name, rules in SEATRIAL.items():
        backs[name], first = _judged(blocks, rules)
        promoted = first if name == "default metrics" else promoted
    for name, peer in peers.items():
        backs[name] = _seconds(peer.rolls_back(_grouped(looks, seen)), EVERY)
    minutes = [(_sum(blocks[begin : begin + 6], 0), _sum(blocks[begin : begin + 6], 1)) for begin in range(0, LOOKS, 6)]
    backs |= {name: _seconds(rule(minutes), 6) for name, rule in zip(COMMON, (by_threshold, by_z_test), strict=True)}
    return Outcome(backs, promoted)


def _judged(blocks: Sequence[Block], rules: AnalysisSection) -> tuple[float | None, float | None]:
    """When it rolled back, and when it first would have promoted, in seconds."""
    promoted = None
    for look in range(EVERY, len(blocks) + 1, EVERY):
        ruling = judge(blocks[:look], rules).ruling
        if ruling is Ruling.ROLL_BACK:
            return _seconds(look, 1), promoted
        if ruling is Ruling.PROMOTE and promoted is None:
            promoted = _seconds(look, 1)
    return None, promoted


def _grouped(looks: Sequence[Seen], seen: Sequence[Seen]) -> list[Seen]:
    """Each look with the first failures of all blocks since the look before."""
    fell = [
        (sum(each.fell[0] for each in part), sum(each.fell[1] for each in part))
        for part in (seen[begin : begin + EVERY] for begin in range(0, len(seen), EVERY))
    ]
    return [replace(look, fell=each) for look, each in zip(looks, fell, strict=True)]


def _seconds(look: int | None, blocks: int) -> float | None:
    return None if look is None else look * blocks * INTERVAL.total_seconds()


def _healthy(runs: int, peers: Mapping[str, Peer], piece: Piece, told: Callable[[str], None]) -> Table:
    table = _table("Healthy candidates rolled back within 15 minutes at 5 %; 2 % of the users send what fails")
    for users, requests in CROWDS[piece[0] - 1 :: piece[1]]:
        crowd = Crowd(users, requests)
        outcomes = [rollout(crowd, seed, peers) for seed in range(_fewer(runs, crowd))]
        parts = [_part([each.backs[name] for each in outcomes]) for name in _columns(peers)]
        _add(table, told, f"{users:,} users", f"{requests}", f"{len(outcomes):,}", *parts, "–")
    return table


def _harmful(runs: int, peers: Mapping[str, Peer], piece: Piece, told: Callable[[str], None]) -> Table:
    table = _table("Harmful candidates: rolled back, and the median time from the beginning of the harm")
    scenarios = product(HARMS.items(), CROWDS)
    for (name, harm), (users, requests) in islice(scenarios, piece[0] - 1, None, piece[1]):
        crowd = replace(harm, users=users, requests=requests)
        outcomes = [rollout(crowd, 10_000 + seed, peers) for seed in range(_fewer(runs // 4, crowd))]
        began = crowd.begins * INTERVAL.total_seconds()
        backs = [_when([each.backs[rule] for each in outcomes], began) for rule in _columns(peers)]
        promoted = _part([_after(each.promoted, began) for each in outcomes])
        _add(table, told, f"{name}, {users:,} users", f"{requests}", f"{len(outcomes):,}", *backs, promoted)
    return table


def _add(table: Table, told: Callable[[str], None], *row: str) -> None:
    table.add_row(*row)
    told(" | ".join(row))


def _fewer(runs: int, crowd: Crowd) -> int:
    """Large crowds take long."""
    return max(1, runs // (1 + int(crowd.users * crowd.requests) // 50_000))


def _columns(peers: Mapping[str, Peer]) -> list[str]:
    return [*SEATRIAL, *peers, *COMMON]


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left")
    for column in ("what", "requests each", "runs", *SEATRIAL, *NAMES.values(), *COMMON, "promoted"):
        table.add_column(column)
    return table


def _part(times: Sequence[float | None]) -> str:
    return f"{sum(time is not None for time in times) / len(times):.1%}"


def _when(times: Sequence[float | None], began: float) -> str:
    """The part that was rolled back since the harm began, and the median over all runs, those without as never."""
    after = [_after(time, began) for time in times]
    median = statistics.median(float("inf") if time is None else time for time in after)
    return f"{_part(after)}, {'never' if median == float('inf') else f'{median:.0f} s'}"


def _after(time: float | None, began: float) -> float | None:
    return time - began if time is not None and time > began else None


def _sum(blocks: Sequence[Block], version: int) -> tuple[int, int]:
    """Requests and errors, the given-up ones among them, of the stable version (0) or the candidate (1)."""
    counts = [(block.stable, block.candidate)[version] for block in blocks]
    return sum(each.requests for each in counts), sum(each.errors + sum(each.given_up) for each in counts)
