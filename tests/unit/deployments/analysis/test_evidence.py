import json

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.analysis.evidence import Block, Counts, Pairs, Sums, block_from_json, block_to_json
from tests.unit.deployments.analysis.blocks import (
    INTERVAL,
    START,
    blocks_of_users,
    some_blocks,
    some_counts,
    some_pairs,
)


@settings(max_examples=25, deadline=None)
@given(some_blocks(max_size=3))
def test_a_block_comes_back_from_the_journal_as_it_was(blocks: list[Block]) -> None:
    assert [block_from_json(json.loads(json.dumps(block_to_json(each)))) for each in blocks] == blocks


@settings(max_examples=25, deadline=None)
@given(blocks_of_users(max_size=3))
def test_a_block_of_users_comes_back_from_the_journal_as_it_was(blocks: list[Block]) -> None:
    assert [block_from_json(json.loads(json.dumps(block_to_json(each)))) for each in blocks] == blocks


def test_blocks_of_earlier_versions_are_read() -> None:
    document = block_to_json(Block(START, START + INTERVAL, 0, 0.05, Counts(9, 1), Counts(1), Pairs()))
    new = ["given_up", "units", "long_units"]
    for version in ("stable", "candidate"):
        document[version] = {name: each for name, each in document[version].items() if name not in new}
    old = {name: document[name] for name in ("start", "end", "step", "share", "stable", "candidate", "pairs")}
    assert block_from_json(old) == Block(START, START + INTERVAL, 0, 0.05, Counts(9, 1), Counts(1), Pairs())


@settings(max_examples=25, deadline=None)
@given(some_counts(), some_counts())
def test_counts_add_up_in_any_order(one: Counts, other: Counts) -> None:
    assert (one + other).requests == one.requests + other.requests
    assert one + other == other + one


@settings(max_examples=25, deadline=None)
@given(some_pairs(), some_pairs(), st.just(Pairs()))
def test_pairs_add_up_in_any_order(one: Pairs, other: Pairs, nothing: Pairs) -> None:
    assert one + other == other + one
    assert one + nothing == one


def test_nothing_measured_adds_nothing() -> None:
    measured = Counts(3, 1, (1,) * 19, {"yes": 2}, {"clicks": Sums(2, 1.0, 1.0)})
    assert measured + Counts() == measured
