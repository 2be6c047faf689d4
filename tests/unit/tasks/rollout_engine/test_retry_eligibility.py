"""Which version is tried again."""

from dataclasses import replace

import pytest

from deployments.errors import BadArtifact, NotFound
from deployments.registry import ModelVersion
from deployments.rollout.state import Phase
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from tasks.rollout_engine.champion import who_serves
from tasks.rollout_engine.retry_eligibility import Again, eligible_version
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import PRODUCT, World


def versions(world: World) -> list[ModelVersion]:
    return [world.registry.get(PRODUCT, number) for number in (1, 2, 3)]


def chosen(world: World, wanted: int | None = None) -> Again:
    return eligible_version(
        PRODUCT, versions(world), world.journal.rollouts(PRODUCT), who_serves(PRODUCT, world.doors), wanted
    )


def test_the_newest_version_that_never_served_is_tried(served: World) -> None:
    assert chosen(served) == Again(3, None)


def test_a_refused_version_is_tried_with_what_was_seen_of_it(served: World) -> None:
    served.errors[3] = 0.4
    assert served.run(served.wish(3, Strategy.CANARY)).phase is Phase.ROLLED_BACK
    assert chosen(served) == Again(3, "rollout-3")


def test_evidence_beside_another_champion_does_not_count(served: World) -> None:
    served.errors[3] = 0.4
    served.run(served.wish(3, Strategy.CANARY))
    served.run(served.wish(2))
    assert chosen(served) == Again(3, None)


def test_a_compared_version_may_be_tried_again_with_its_comparison(served: World) -> None:
    served.run(served.wish(2, Strategy.SHADOW))
    assert chosen(served, 2) == Again(2, "rollout-2")


def test_a_retried_harmful_version_is_taken_back_by_what_was_seen_before(served: World) -> None:
    served.errors[2] = 0.4
    served.run(served.wish(2, Strategy.CANARY))
    served.errors[2] = 0.002
    state = served.run(served.wish(2, Strategy.CANARY, rollout_id="once-more", carries=chosen(served, 2).carries))
    assert state.phase is Phase.ROLLED_BACK
    assert len(served.journal.evidence("once-more")) == 1


def test_versions_that_were_champion_are_for_a_rollback(served: World) -> None:
    served.run(served.wish(2))
    served.run(served.wish(3))
    with pytest.raises(NotFound, match="bikes has no version to retry"):
        chosen(served)
    with pytest.raises(NotFound, match="v1 was champion before: `seatrial rollback bikes --to 1`"):
        chosen(served, 1)


def test_a_reinstated_champion_is_no_version_to_retry(served: World) -> None:
    served.run(served.wish(2))
    served.run(served.wish(1, rollout_id="back", goal=Goal.REINSTATE))
    with pytest.raises(NotFound, match="v2 was champion before"):
        chosen(served, 2)


def test_the_champion_and_unknown_versions_are_refused(served: World) -> None:
    with pytest.raises(NotFound, match="v1 is the champion already"):
        chosen(served, 1)
    with pytest.raises(NotFound, match="no version 9 of 'bikes'"):
        chosen(served, 9)


def test_a_version_whose_rollout_died_is_tried(served: World) -> None:
    begin(served.wish(3, Strategy.CANARY), served.doors)
    known = [replace(each, aliases=tuple(a for a in each.aliases if a != "challenger")) for each in versions(served)]
    assert eligible_version(PRODUCT, known, served.journal.rollouts(PRODUCT), 1, None) == Again(3, "rollout-3")


def test_a_version_of_doubtful_origin_is_tried_neither_by_itself_nor_by_its_number(served: World) -> None:
    served.registry.edit_seal(PRODUCT, 3)
    assert chosen(served).version == 2
    with pytest.raises(BadArtifact, match="bikes v3 is not known to be what was judged"):
        chosen(served, 3)
    served.registry.edit_seal(PRODUCT, 2)
    served.registry.edit_seal(PRODUCT, 1)
    with pytest.raises(BadArtifact, match="bikes v3 is not known"):
        chosen(served)
