import json

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.analysis.evidence import Block, Counts, Pairs, Sums, block_from_json, block_to_json
from tests.unit.deployments.analysis.blocks import some_blocks, some_counts, some_pairs


@settings(max_examples=25, deadline=None)
@given(some_blocks(max_size=3))
def test_a_block_comes_back_from_the_journal_as_it_was(blocks: list[Block]) -> None:
    assert [block_from_json(json.loads(json.dumps(block_to_json(each)))) for each in blocks] == blocks


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
