"""What looks say of a candidate that answers fewer requests than its share."""

from datetime import UTC, datetime, timedelta

import pytest

from deployments.analysis.counter_deltas import Reading, Source
from deployments.analysis.evidence import Block, Counts
from tasks.rollout_engine.shortfall_check import Answering, Seen, Split

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
LOOK = timedelta(seconds=10)


class Looks:
    """One look after the other, ten seconds each."""

    def __init__(self, share: float | None = 0.5, tolerance: float | None = 0.1) -> None:
        self.answering = Answering(Split(2, 1, share, tolerance, 1, BEGAN))
        self.now = BEGAN

    def look(self, stable: int, candidate: int, whole: bool = True) -> Seen:
        block = Block(self.now, self.now + LOOK, 3, 0.5, Counts(stable), Counts(candidate))
        self.now += LOOK
        return self.answering.look(block, LOOK, whole)


def test_a_shortfall_that_lasts_a_minute_is_told_with_its_counts() -> None:
    looks = Looks()
    seen = [looks.look(1000, 500) for _ in range(9)]
    assert [each.healthy for each in seen] == [LOOK] + [timedelta(0)] * 8
    assert [each.lost is not None for each in seen] == [False] * 7 + [True] * 2
    assert seen[-1].lost == (
        "users sent to v2 get no answer: in 60 s 3,000 of 9,000 answers (33.3 %) were its own, "
        "where 50 % are configured"
    )


def test_what_a_gateway_still_led_by_the_weights_before_is_no_shortfall() -> None:
    looks = Looks()
    assert looks.look(100_000, 20).lost is None
    seen = [looks.look(1000, 1000) for _ in range(9)]
    assert {each.healthy for each in seen} == {LOOK}


def test_a_shortfall_that_is_over_within_the_minute_only_stops_the_clock() -> None:
    looks = Looks()
    looks.look(1000, 1000)
    away = [looks.look(1000, 0) for _ in range(3)]
    back = [looks.look(1000, 1000) for _ in range(20)]
    assert {each.healthy for each in away} == {timedelta(0)}
    assert {each.lost for each in (*away, *back)} == {None}
    assert back[-1].healthy == LOOK


@pytest.mark.parametrize("late", [1, 2], ids=["champion's", "candidate's"])
def test_a_server_that_tells_its_counts_late_is_no_shortfall(late: int) -> None:
    """It is silent for one look, and tells all of it at the next."""
    looks = Looks()
    looks.look(10_000, 10_000)
    for _ in range(6):
        looks.look(10_000, 10_000)
        counts = (5_000, 10_000) if late == 1 else (10_000, 5_000)
        assert looks.look(*counts, whole=False).lost is None
        counts = (15_000, 10_000) if late == 1 else (10_000, 15_000)
        assert looks.look(*counts, whole=False).lost is None
    assert looks.look(10_000, 10_000).healthy == LOOK


def test_silence_counts_once_it_ends_if_chance_explains_it() -> None:
    looks = Looks(share=0.01)
    looks.look(100, 1)
    assert [looks.look(100, 0) for _ in range(3)] == [Seen(timedelta(0), silent=True)] * 3
    assert looks.look(100, 1).healthy == 4 * LOOK


def test_silence_that_chance_does_not_explain_never_counts() -> None:
    looks = Looks(share=0.1, tolerance=None)
    looks.look(90, 10)
    silent = looks.look(90, 0)
    assert silent.healthy == timedelta(0)
    assert silent.trouble == "v2 has answered nothing while v1 answered 90 requests, where 10 % are configured"
    assert looks.look(90, 10).healthy == LOOK


@pytest.mark.parametrize("share", [0.5, None])
def test_where_few_answers_tell_nothing_they_lose_nobody(share: float | None) -> None:
    looks = Looks(share=share, tolerance=None)
    seen = [looks.look(1000, 100) for _ in range(30)]
    assert {each.lost for each in seen} == {None}
    assert {each.healthy for each in seen} == {LOOK}


def source(version: int, pod: str, began: datetime = BEGAN) -> Source:
    return Source(version, f"pod {pod}", began)


@pytest.mark.parametrize(
    ("now", "late"),
    [
        ({source(1, "a"): 5, source(2, "b"): 5}, False),
        ({source(1, "a"): 5}, True),
        ({source(1, "a"): 5, source(2, "b"): 5, source(2, "c"): 5}, True),
        ({source(1, "a"): 5, source(2, "b"): 5, source(2, "new", BEGAN + 2 * LOOK): 5}, False),
        ({source(1, "a"): 5, source(2, "b"): 5, Source(2, "feedback"): 0}, False),
        ({source(1, "a"): 5, source(2, "b"): 5, Source(2, "copies", BEGAN, mirrored=True): 5}, False),
    ],
    ids=["all told", "one silent", "one back", "one new", "another part", "copies"],
)
def test_a_reading_knows_whether_counts_are_missing_or_late(now: dict[Source, int], late: bool) -> None:
    before = Reading(BEGAN + LOOK, {source(1, "a"): Counts(1), source(2, "b"): Counts(1)})
    after = Reading(BEGAN + 2 * LOOK, {each: Counts(requests) for each, requests in now.items()})
    assert after.late(before.counting, before.at) is late
