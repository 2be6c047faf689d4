from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.analysis.evidence import Counts, Firsts, Units
from deployments.analysis.user_metrics import MOST_LABELS, Closing, Outcome, Stretches, Together, Users
from tests.unit.deployments.analysis.blocks import BUCKETS, INTERVAL, START, block

AFTER_TWO = Closing(requests=2, after=timedelta(seconds=20), blocks=4)
NEVER = Closing(requests=1000, after=timedelta(days=1), blocks=None)

outcomes = st.builds(
    Outcome,
    st.sampled_from([1, 2]),
    st.sampled_from([f"u{number}" for number in range(12)]),
    st.booleans(),
    st.one_of(st.none(), st.integers(0, BUCKETS - 1)),
    st.one_of(st.none(), st.integers(0, BUCKETS - 1)),
    st.sampled_from([{}, {"yes": 1.0}, {"yes": 0.25, "no": 0.75}]),
)
looks = st.lists(st.lists(outcomes, max_size=15), max_size=12)


def run(users: Users, seen: Sequence[Sequence[Outcome]]) -> dict[object, list[dict[int, Units]]]:
    """By stretch, what each block of it counted."""
    found = defaultdict(list)
    users.begin(START)
    for number, some in enumerate(seen, start=1):
        at = START + number * INTERVAL
        users.add(some, at)
        closed = users.closed(at)
        found[closed.stretch].append(dict(closed.units))
    return dict(found)


def total(blocks: Sequence[dict[int, Units]]) -> Units:
    return sum((units for each in blocks for units in each.values()), Units())


@settings(max_examples=100, deadline=None)
@given(looks)
def test_a_user_counts_at_most_once_in_a_stretch(seen: list[list[Outcome]]) -> None:
    number = 0
    for blocks in run(Users(AFTER_TWO), seen).values():
        of_it = seen[number : number + len(blocks)]
        number += len(blocks)
        assert len(blocks) <= 4
        assert total(blocks).count <= len({each.user for some in of_it for each in some})
    assert number == len(seen)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(outcomes, max_size=15), min_size=4, max_size=4))
def test_whoever_asked_in_a_stretch_is_counted_by_its_end(seen: list[list[Outcome]]) -> None:
    (blocks,) = run(Users(AFTER_TWO), seen).values()
    assert total(blocks).count == len({each.user for some in seen for each in some})


@settings(max_examples=100, deadline=None)
@given(looks)
def test_the_version_changes_nothing_about_who_is_closed_when(seen: list[list[Outcome]]) -> None:
    """All users with version 1, or each with one of two: as many are closed in each block, with the same sums."""
    alone = [[replaced(each, 1) for each in some] for some in seen]
    shared = [[replaced(each, 1 + int(each.user[1:]) % 2) for each in some] for some in seen]
    for one, other in zip(run(Users(AFTER_TWO), alone).values(), run(Users(AFTER_TWO), shared).values(), strict=True):
        for left, right in zip(one, other, strict=True):
            assert total([left]).count == total([right]).count
            assert total([left]).errors == pytest.approx(total([right]).errors)
            assert sum(total([left]).given_up) == pytest.approx(sum(total([right]).given_up))


@settings(max_examples=100, deadline=None)
@given(looks)
def test_no_share_of_a_user_is_more_than_he(seen: list[list[Outcome]]) -> None:
    for blocks in run(Users(AFTER_TWO), seen).values():
        for units in (each for some in blocks for each in some.values()):
            assert 0 <= units.errors <= units.count
            assert units.errors + sum(units.given_up) <= units.count + 1e-9
            assert sum(units.latency) + sum(units.given_up) <= units.count + 1e-9
            assert sum(units.predictions.values()) <= units.count + 1e-9


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=6), max_size=300), st.integers(1, 20))
def test_invented_keys_fill_no_memory(keys: list[str], most: int) -> None:
    users = Users(NEVER, most)
    for number in range(0, len(keys), 7):
        at = START + number * INTERVAL
        users.add([Outcome(1 + len(key) % 2, key) for key in keys[number : number + 7]], at)
        assert len(users) <= most
        users.closed(at)
    assert len(users) == min(most, len(set(keys)))


def test_once_full_nobody_new_is_counted_in_either_version_and_those_who_are_go_on() -> None:
    users = Users(AFTER_TWO, most=2)
    users.begin(START)
    users.add([Outcome(1, "a"), Outcome(2, "b"), Outcome(1, "c"), Outcome(2, "d"), Outcome(1, "a", failed=True)], START)
    assert users.closed(START).units[1] == Units(1, 0.5, asked=1, failed=0.5)
    for number in range(1, 4):
        assert users.closed(START + number * INTERVAL).units in ({}, {2: Units(1, 0.0)})
    users.add([Outcome(1, "c"), Outcome(2, "d")], START + 5 * INTERVAL)
    assert len(users) == 2, "the next stretch has room again"


def test_a_user_is_closed_by_requests_by_time_or_by_the_end_of_the_stretch() -> None:
    users = Users(AFTER_TWO)
    users.begin(START)
    users.add([Outcome(1, "busy", failed=True), Outcome(1, "busy"), Outcome(1, "busy"), Outcome(1, "calm")], START)
    assert users.closed(START).units == {1: Units(1, 0.5, asked=2, failed=1 / 3)}
    assert users.closed(START + INTERVAL).units == {}
    assert users.closed(START + 2 * INTERVAL).units == {1: Units(1, 0.0)}
    users.add([Outcome(1, "late", failed=True)], START + 3 * INTERVAL)
    last = users.closed(START + 3 * INTERVAL)
    assert (last.stretch, last.units) == (START, {1: Units(1, 1.0, asked=1, failed=1.0)})
    users.add([Outcome(1, "busy")], START + 4 * INTERVAL)
    assert users.closed(START + 4 * INTERVAL).stretch == START + 3 * INTERVAL


def test_a_change_of_the_split_forgets_everybody() -> None:
    users = Users(AFTER_TWO)
    users.begin(START)
    users.add([Outcome(1, "a", failed=True)], START)
    users.begin(START + INTERVAL)
    assert users.closed(START + 9 * INTERVAL).units == {}


def test_a_user_stays_with_the_version_that_he_met_first() -> None:
    users = Users(AFTER_TWO)
    users.add([Outcome(1, "a"), Outcome(2, "a", failed=True), Outcome(1, "a")], START)
    assert users.closed(START).units == {1: Units(1, 0.0, asked=1)}


def test_shares_of_a_user_are_of_all_that_he_asked() -> None:
    users = Users(Closing(4, timedelta(0), None))
    asked = [Outcome(1, "a", latency=2), Outcome(1, "a", latency=2, predicted={"x": 0.5, "y": 0.5})]
    users.add([*asked, Outcome(1, "a", failed=True, latency=0), Outcome(1, "a", given_up=14)], START)
    found = users.closed(START).units[1]
    assert (found.count, found.errors, found.predictions) == (1, 0.25, {"x": 0.5, "y": 0.5})
    assert [(at, each) for at, each in enumerate(found.latency) if each] == [(0, 0.25), (2, 0.5)]
    assert [(at, each) for at, each in enumerate(found.given_up) if each] == [(14, 0.25)]


def test_labels_without_end_fill_no_memory() -> None:
    users = Users(NEVER)
    users.add([Outcome(1, "a", predicted={f"label {number}": 1.0}) for number in range(10 * MOST_LABELS)], START)
    found = users.closed(START + timedelta(days=2)).units[1]
    assert len(found.predictions) == MOST_LABELS
    assert sum(found.predictions.values()) == pytest.approx(1)


def test_without_keys_requests_are_the_units() -> None:
    stretches = Stretches()
    stretches.begin(START)
    assert stretches.block(START + INTERVAL) is None


def test_a_block_has_its_users_and_its_requests_without_a_key() -> None:
    stretches = Stretches()
    stretches.begin(START)
    assert stretches.block(START + INTERVAL) is None
    stretches.add([Outcome(1, "a", failed=True), Outcome(2, "b"), Outcome(2, "b")], START + 2 * INTERVAL)
    counted = stretches.block(START + 2 * INTERVAL)
    assert counted is not None
    seen = block(Counts(31, 3), Counts(12, 1))
    whole = counted.completes(seen, 1, 2, {1: Counts(30, 2), 2: Counts(10, 1)})
    assert (whole.stable.requests, whole.candidate.requests) == (31, 12)
    assert whole.stable.units == Units(31, 3.0, keyless=30, asked=31, failed=3.0)
    assert whole.candidate.units == Units(11, 1.0, keyless=10, asked=11, failed=1.0)
    assert whole.stable.long_units == Units(30, 2.0, keyless=30, asked=31, failed=3.0), "it closes its users later"
    assert whole.firsts == whole.long_firsts == (Firsts(1, 1, 1, 0), Firsts(30, 2, 10, 1))
    assert whole.stretch == whole.long_stretch == START + INTERVAL


def test_no_more_requests_fail_than_there_were() -> None:
    """An attempt that broke off counts before its request does, which goes on."""
    stretches = Stretches()
    stretches.begin(START)
    stretches.add([Outcome(1, "a"), Outcome(2, "b")], START)
    counted = stretches.block(START + INTERVAL)
    assert counted is not None
    whole = counted.completes(block(), 1, 2, {1: Counts(30, 2), 2: Counts(1, 5, given_up=(1,))})
    assert whole.firsts == (Firsts(30, 2, 1, 1),)


def test_the_short_stretch_begins_anew_and_the_long_one_lasts() -> None:
    stretches = Stretches()
    stretches.begin(START)
    short, long, of_short, of_long = set(), set(), 0, 0
    for number in range(1, 91):
        stretches.add([Outcome(1, "a")], START + number * INTERVAL)
        counted = stretches.block(START + number * INTERVAL)
        assert counted is not None
        short.add(counted.short.stretch)
        long.add(counted.long.stretch)
        of_short += counted.short.units.get(1, Units()).count
        of_long += counted.long.units.get(1, Units()).count
    assert (len(short), len(long)) == (3, 1)
    assert (of_short, of_long) == (3, 1)


def test_who_fails_first_is_told_beside_those_he_came_with_and_only_once() -> None:
    users = Users(NEVER)
    users.begin(START)
    came = [Outcome(1 + (number >= 8), f"u{number}") for number in range(10)]
    users.add(came, START)
    assert users.closed(START).firsts == ()
    users.add([Outcome(1, "new"), Outcome(2, "u9", failed=True), Outcome(2, "u9"), Outcome(1, "u0", given_up=3)], START)
    second = users.closed(START + INTERVAL)
    assert second.firsts == (Together({1: 8, 2: 2}, {1: 1, 2: 1}),)
    assert second.units[2] == Units(asked=1, failed=0.5)
    assert second.units[1] == Units(asked=2, left=1.0)
    users.add([Outcome(2, "u9", failed=True), Outcome(2, "u8", failed=True)], START)
    third = users.closed(START + 2 * INTERVAL)
    assert third.firsts == (Together({1: 7, 2: 1}, {2: 1}),)
    assert third.units == {2: Units(asked=1, failed=1.0)}, "whoever failed before asks no more in this stretch"


def test_leaving_is_nothing_bad_where_the_spec_says_so() -> None:
    users = Users(NEVER, given_up=False)
    users.add([Outcome(1, "a", given_up=3)], START)
    assert users.closed(START).firsts == ()


@settings(max_examples=100, deadline=None)
@given(looks)
def test_everybody_fails_first_at_most_once_and_stood_with_those_he_came_with(seen: list[list[Outcome]]) -> None:
    users = Users(NEVER)
    users.begin(START)
    first: dict[str, bool] = {}
    failed = 0.0
    for number, some in enumerate(seen, start=1):
        users.add(some, START + number * INTERVAL)
        for together in users.closed(START + number * INTERVAL).firsts:
            assert all(0 < count <= together.well[version] for version, count in together.failed.items())
            failed += sum(together.failed.values())
    versions: dict[str, int] = {}
    for each in (each for some in seen for each in some):
        if versions.setdefault(each.user, each.version) == each.version:
            first[each.user] = first.get(each.user, False) or each.failed or each.given_up is not None
    assert failed == sum(first.values())


def replaced(outcome: Outcome, version: int) -> Outcome:
    return Outcome(version, outcome.user, outcome.failed, outcome.latency, outcome.given_up, outcome.predicted)
