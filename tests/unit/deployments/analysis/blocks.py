"""Blocks to judge, by hand and by chance."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from deployments.analysis.evidence import LATENCY_BOUNDS_MS, Block, Counts, Firsts, Pairs, Sums, Units

START = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=10)
BUCKETS = len(LATENCY_BOUNDS_MS) + 1


NOTHING = Counts()
NO_PAIRS = Pairs()


def block(
    stable: Counts = NOTHING, candidate: Counts = NOTHING, *, share: float | None = None, pairs: Pairs = NO_PAIRS
) -> Block:
    return Block(START, START + INTERVAL, 0, share, stable, candidate, pairs)


def errors(stable: tuple[int, int], candidate: tuple[int, int], share: float | None = None) -> Block:
    """A block of (errors, requests) in each version."""
    return block(Counts(stable[1], stable[0]), Counts(candidate[1], candidate[0]), share=share)


def traffic(
    chance: np.random.Generator, count: int, requests: float, share: float, stable: float, candidate: float
) -> list[Block]:
    """`count` blocks of about `requests` requests with these error rates."""
    found = []
    for _ in range(count):
        total = int(chance.poisson(requests))
        others = int(chance.binomial(total, share))
        rest = total - others
        found.append(
            errors((int(chance.binomial(rest, stable)), rest), (int(chance.binomial(others, candidate)), others), share)
        )
    return found


def latency(counts: dict[int, int]) -> Counts:
    """Answers by bucket."""
    return Counts(latency=tuple(counts.get(bucket, 0) for bucket in range(BUCKETS)))


def repeated(one: Block, times: int) -> Sequence[Block]:
    return [one] * times


numbers = st.one_of(st.integers(0, 30), st.integers(0, 10**9))


@st.composite
def some_counts(draw: st.DrawFn) -> Counts:
    requests = draw(numbers)
    return Counts(
        requests,
        draw(st.integers(0, requests)),
        draw(st.one_of(st.just(()), st.builds(_buckets, numbers, st.integers(0, BUCKETS)))),
        draw(st.dictionaries(st.sampled_from(["yes", "no", "bin 3"]), numbers)),
        draw(st.dictionaries(st.just("value"), st.builds(_values, numbers, st.floats(0, 1)))),
        draw(st.one_of(st.just(()), st.builds(_buckets, numbers, st.integers(0, BUCKETS)))),
    )


@st.composite
def some_units(draw: st.DrawFn) -> Units:
    count, asked = draw(numbers), draw(numbers)
    share = st.floats(0, 1)
    return Units(
        count,
        count * draw(share),
        draw(st.one_of(st.just(()), st.builds(_shares, st.just(count), st.integers(0, BUCKETS - 1)))),
        (),
        draw(st.dictionaries(st.sampled_from(["yes", "no"]), st.just(count / 2))),
        draw(st.integers(0, count)),
        asked,
        asked * draw(share),
        0.0,
    )


def _shares(count: int, where: int) -> tuple[float, ...]:
    return tuple(float(count) if bucket == where else 0.0 for bucket in range(BUCKETS))


@st.composite
def blocks_of_users(draw: st.DrawFn, max_size: int = 6) -> list[Block]:
    """Blocks with users, each in one of a few stretches, between others without."""
    found = []
    for number, each in enumerate(draw(some_blocks(max_size))):
        if not draw(st.booleans()):
            found.append(each)
        else:
            stable, candidate = (
                replace(counts, units=draw(some_units()), long_units=draw(some_units()))
                for counts in (each.stable, each.candidate)
            )
            since = START + number // 2 * INTERVAL
            firsts = draw(st.one_of(st.none(), st.just(()), st.builds(_firsts, numbers, numbers)))
            found.append(
                replace(each, stable=stable, candidate=candidate, stretch=since, long_stretch=START, firsts=firsts)
            )
    return found


def _firsts(stable: int, candidate: int) -> tuple[Firsts, ...]:
    return (Firsts(stable, stable // 2, candidate, candidate // 3),)


def _buckets(answers: int, where: int) -> tuple[int, ...]:
    return tuple(answers if bucket % (where + 1) == 0 else 0 for bucket in range(BUCKETS))


def _values(count: int, mean: float) -> Sums:
    return Sums(count, count * mean, count * mean**2)


@st.composite
def some_pairs(draw: st.DrawFn) -> Pairs:
    compared = draw(numbers)
    disagreed = draw(st.integers(0, compared))
    only_stable = draw(st.integers(0, disagreed))
    return Pairs(compared, disagreed, only_stable, draw(st.integers(0, disagreed - only_stable)))


@st.composite
def some_blocks(draw: st.DrawFn, max_size: int = 6) -> list[Block]:
    shares = st.sampled_from([None, 0.0, 0.05, 0.5, 1.0])
    return draw(
        st.lists(
            st.builds(
                lambda stable, candidate, share, pairs: block(stable, candidate, share=share, pairs=pairs),
                some_counts(),
                some_counts(),
                shares,
                some_pairs(),
            ),
            max_size=max_size,
        )
    )
