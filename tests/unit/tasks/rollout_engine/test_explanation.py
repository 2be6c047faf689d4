"""A rollout told from its records, and its verdicts reached anew."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.analysis.evidence import Counts
from deployments.analysis.verdict import Ruling
from deployments.errors import NotFound
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import BlueGreenSection, ShadowSection, Strategy
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.explanation import Explanation, compared, explain, find, replay
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World


@pytest.fixture
def served(served: World) -> World:
    """v1 is champion since a moment ago, so that the rollouts of a test are the newer ones."""
    served.clock.sleep(timedelta(seconds=1))
    return served


def explained(world: World, rollout_id: str | None = None) -> Explanation:
    return explain(PRODUCT, rollout_id, world.journal, world.clock.now())


def until(world: World, phase: Phase, strategy: Strategy = Strategy.CANARY, looks: int = 0) -> RolloutState:
    """A rollout of v2 in `phase`, after that many blocks at least."""
    changes = {"blue_green": BlueGreenSection(approve=True), "shadow": ShadowSection(sample=5000)}
    section = SECTION.model_copy(update=changes)
    state, carrier = begin(world.wish(2, strategy, section=section), world.doors), Carrier(world.doors)
    while state.phase is not phase or len(world.journal.evidence(state.rollout_id)) < looks:
        state = carrier.advance(state)
    return state


def test_the_rollout_under_way_comes_before_the_last_one(served: World) -> None:
    served.run(served.wish(3, Strategy.CANARY))
    assert find(PRODUCT, None, served.journal).rollout_id == "rollout-3"
    served.clock.sleep(timedelta(seconds=1))
    begin(served.wish(2, Strategy.CANARY), served.doors)
    assert find(PRODUCT, None, served.journal).rollout_id == "rollout-2"


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(served: World) -> None:
    served.run(served.wish(3))
    assert find(PRODUCT, "rollout-3", served.journal).candidate == 3
    with pytest.raises(NotFound, match="2 rollouts 'roll'"):
        find(PRODUCT, "roll", served.journal)
    with pytest.raises(NotFound, match="no rollout 'x'"):
        find(PRODUCT, "x", served.journal)


def test_of_a_product_that_was_never_rolled_out_nothing_is_known(world: World) -> None:
    with pytest.raises(NotFound, match="nothing of 'bikes' was rolled out here"):
        explained(world)


def test_a_rollback_is_explained_by_the_finding_that_caused_it(served: World) -> None:
    served.errors[2] = 0.4
    served.run(served.wish(2, Strategy.CANARY))
    found = explained(served)
    assert found.verdict.ruling is Ruling.ROLL_BACK
    assert found.verdict.findings[0].is_harm
    assert [event.kind for event in found.timeline][-2:] == ["rollout.judged", "rollout.rolled_back"]
    assert (found.needed, found.carrier) == ((), None)


def test_the_timeline_leaves_out_intents_and_small_steps(served: World) -> None:
    served.run(served.wish(2, Strategy.CANARY))
    told = explained(served).timeline
    assert {event.kind for event in told} == {"rollout.started", "rollout.judged", "step.done", "rollout.done"}
    assert not [event for event in told if str(event.detail.get("step", "")).startswith(("launch", "verify"))]


def test_the_timeline_of_a_run_begun_again_under_its_id_is_its_own(served: World) -> None:
    served.errors[2] = 0.4
    served.run(served.wish(2, Strategy.CANARY))
    served.clock.sleep(timedelta(seconds=1))
    del served.errors[2]
    served.run(served.wish(2, Strategy.CANARY))
    told = [event.kind for event in explained(served).timeline]
    assert (told.count("rollout.started"), "rollout.rolled_back" in told) == (1, False)


def test_orders_are_told(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    served.journal.give(state.rollout_id, Verb.PAUSE, "ann", "lunch", served.clock.now())
    Carrier(served.doors).advance(state)
    found = explained(served)
    assert [str(order) for order in found.orders] == ["pause by ann: lunch"]
    assert found.timeline[-1].kind == "order.pause"
    assert found.needed == ("`seatrial resume bikes`",)


def test_an_observation_still_needs_its_time(served: World) -> None:
    until(served, Phase.OBSERVING, looks=2)
    assert explained(served).needed == ("40 s more of healthy time",)


def test_a_proof_still_needs_what_its_finding_says(served: World) -> None:
    served.rate = 2.0
    until(served, Phase.OBSERVING, looks=12)
    found = explained(served)
    assert found.state.done == 5
    assert any(finding.sentence in found.needed for finding in found.verdict.findings)


def test_a_question_still_needs_a_person(served: World) -> None:
    until(served, Phase.WAITING, Strategy.BLUE_GREEN)
    assert explained(served).needed == ("a person's answer to: give all traffic to v2? `seatrial approve bikes`",)


def test_a_hold_still_needs_counts_that_can_be_trusted(served: World) -> None:
    until(served, Phase.OBSERVING)
    served.metrics.fail("the gateway is away")
    state = served.journal.rollout(PRODUCT, "rollout-2")
    while state.phase is not Phase.HOLDING:
        state = Carrier(served.doors).advance(state)
    assert "the gateway is away" in explained(served).needed[0]


def test_a_sample_still_needs_the_rest_of_it(served: World) -> None:
    state = until(served, Phase.OBSERVING, Strategy.AB, looks=1)
    blocks = served.journal.evidence(state.rollout_id)
    assert explained(served).needed == (f"{compared(state, blocks):,} of 500 compared so far",)
    assert 0 < compared(state, blocks) < 500


def test_under_a_mirror_pairs_are_compared(served: World) -> None:
    state = until(served, Phase.OBSERVING, Strategy.SHADOW, looks=1)
    blocks = served.journal.evidence(state.rollout_id)
    assert compared(state, blocks) == blocks[0].pairs.compared > 0


@pytest.mark.parametrize("errors", [0.002, 0.4])
def test_every_recorded_verdict_comes_out_the_same(served: World, errors: float) -> None:
    served.errors[2] = errors
    state = served.run(served.wish(2, Strategy.CANARY))
    verdicts = replay(state, served.journal)
    assert verdicts
    assert all(each.identical for each in verdicts)
    assert (verdicts[-1].recorded is Ruling.ROLL_BACK) == (errors > 0.1)


def test_a_hold_for_a_reason_outside_the_counts_is_named_as_such(served: World) -> None:
    until(served, Phase.OBSERVING, looks=1)
    served.metrics.fail("the gateway is away")
    state = served.journal.rollout(PRODUCT, "rollout-2")
    while state.phase is not Phase.HOLDING:
        state = Carrier(served.doors).advance(state)
    (held,) = replay(state, served.journal)
    assert (held.recorded, held.from_outside, held.identical) == (Ruling.HOLD, True, True)


def test_a_changed_count_is_found(served: World) -> None:
    served.errors[2] = 0.4
    state = served.run(served.wish(2, Strategy.CANARY))
    blocks = served.journal._blocks[state.rollout_id]
    blocks[0] = replace(blocks[0], candidate=Counts(requests=blocks[0].candidate.requests))
    assert not all(each.identical for each in replay(state, served.journal))


def test_a_verdict_on_carried_evidence_comes_out_the_same(served: World) -> None:
    served.errors[2] = 0.4
    served.run(served.wish(2, Strategy.CANARY))
    state = served.run(served.wish(2, Strategy.CANARY, rollout_id="again", carries="rollout-2"))
    verdicts = replay(state, served.journal)
    assert [(each.blocks, each.identical) for each in verdicts] == [(1, True)]
    assert len(explained(served, "again").blocks) > 1


def test_verdicts_of_an_attempt_before_a_run_began_again_are_not_replayed_on_the_counts_of_the_new_one(
    served: World,
) -> None:
    served.errors[2] = 0.4
    assert served.run(served.wish(2, Strategy.CANARY)).phase is Phase.ROLLED_BACK
    served.errors[2] = 0.0
    served.clock.sleep(timedelta(seconds=1))
    state = served.run(served.wish(2, Strategy.CANARY))
    verdicts = replay(state, served.journal)
    assert verdicts
    assert all(each.identical for each in verdicts)
