from dataclasses import replace
from datetime import UTC, datetime, timedelta

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import Counts, Pairs, Sums

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=10)
ONE, OTHER, RESTARTED = Source(3, "a"), Source(3, "b"), Source(3, "a2")


def _reading(*counted: tuple[Source, Counts]) -> Reading:
    return Reading(NOON, dict(counted))


def test_what_was_counted_is_the_difference() -> None:
    before = _reading((ONE, Counts(10, 1, (10,) + (0,) * 18, {"yes": 9}, {"clicks": Sums(4, 2.0, 1.0)})))
    now = _reading((ONE, Counts(15, 2, (12, 3) + (0,) * 17, {"yes": 9, "no": 5}, {"clicks": Sums(5, 3.0, 2.0)})))
    assert now.since(before) == {3: Counts(5, 1, (2, 3) + (0,) * 17, {"no": 5}, {"clicks": Sums(1, 1.0, 1.0)})}


def test_sources_of_one_version_add_up() -> None:
    now = _reading((ONE, Counts(5)), (OTHER, Counts(7)), (Source(4, "c"), Counts(1)))
    assert now.since(_reading()) == {3: Counts(12), 4: Counts(1)}


def test_a_restarted_source_counts_whole() -> None:
    assert _reading((RESTARTED, Counts(4, 1))).since(_reading((ONE, Counts(100, 9)))) == {3: Counts(4, 1)}


def test_a_source_that_was_away_is_not_counted_twice() -> None:
    first = _reading((ONE, Counts(100)), (OTHER, Counts(50)))
    away = _reading((OTHER, Counts(60))).carrying(first)
    back = _reading((ONE, Counts(110)), (OTHER, Counts(65))).carrying(away)
    assert away.since(first) == {3: Counts(10)}
    assert back.since(away) == {3: Counts(15)}


def test_what_a_server_counted_before_it_first_answered_is_left_out() -> None:
    old, new = Source(3, "old", NOON - timedelta(days=1)), Source(3, "new", NOON + timedelta(seconds=1))
    first = _reading((ONE, Counts(predictions={"yes": 100})))
    second = replace(_reading((old, Counts(predictions={"yes": 9000})), (new, Counts(predictions={"no": 2}))), at=LATER)
    assert second.since(first) == {3: Counts(predictions={"no": 2})}
    third = _reading((old, Counts(predictions={"yes": 9001})), (new, Counts(predictions={"no": 2}))).carrying(second)
    assert third.since(second) == {3: Counts(predictions={"yes": 1})}


def test_a_counter_that_fell_counts_nothing() -> None:
    before = _reading((ONE, Counts(10, 5, (), {"yes": 5}, {"clicks": Sums(9, 9.0, 9.0)})))
    now = _reading((ONE, Counts(9, 6, (), {"yes": 4}, {"clicks": Sums(8, 8.0, 8.0)})))
    assert now.since(before) == {3: Counts(0, 1)}


def test_latency_that_nobody_measures_any_more_is_unmeasured() -> None:
    before = _reading((ONE, Counts(10, 0, (10,) + (0,) * 18)))
    assert _reading((ONE, Counts(12))).since(before) == {3: Counts(2)}


def test_pairs_count_since_their_epoch() -> None:
    before = replace(_reading(), pairs=Pairs(10, 3, 2, 1), pairs_epoch="x")
    later = replace(_reading(), pairs=Pairs(15, 4, 2, 2), pairs_epoch="x")
    anew = replace(_reading(), pairs=Pairs(2, 1, 0, 1), pairs_epoch="y")
    assert later.pairs_since(before) == Pairs(5, 1, 0, 1)
    assert anew.pairs_since(later) == Pairs(2, 1, 0, 1)
