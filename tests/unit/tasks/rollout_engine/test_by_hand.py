"""Somebody edits the registry by hand: nobody who serves is taken off the air, and one repair mends it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deployments.errors import Busy, NotFound
from deployments.process_identity import Owner
from deployments.registry import DeploymentStatus
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Strategy
from deployments.strategies.plan import Goal
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import LEASE
from tasks.rollout_engine.reasons import outcome
from tasks.rollout_engine.registry_sync import differences, repair
from tasks.rollout_engine.rollback_target import rollback_target
from tasks.rollout_engine.takeover import begin, settle_before_release
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World, to_its_end

Edit = Callable[[World], None]
EDITS: dict[str, Edit] = {
    "champion removed": lambda world: world.registry.edit_alias(PRODUCT, "champion", None),
    "champion on another version": lambda world: world.registry.edit_alias(PRODUCT, "champion", 3),
    "champion on what is not ours": lambda world: world.registry.edit_alias(PRODUCT, "champion", 9),
    "no status": lambda world: world.registry.edit_status(PRODUCT, 3, "Archived"),
    "champion's status unreadable": lambda world: world.registry.edit_status(PRODUCT, 1, "Archived"),
    "champion deleted": lambda world: world.registry.delete(PRODUCT, 1),
    "everything deleted": lambda world: [world.registry.delete(PRODUCT, version) for version in (1, 2, 3)] and None,
}
edited = pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)


def until(world: World, phase: Phase) -> RolloutState:
    state, carrier = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    while state.phase is not phase:
        state = carrier.advance(state)
    return state


def told(world: World) -> list[str]:
    return [event.kind for event in world.journal.events(PRODUCT)]


@edited
def test_at_rest_any_command_finds_the_champion_serving(served: World, edit: Edit) -> None:
    edit(served)
    assert settle_before_release(PRODUCT, SECTION, served.doors) is None
    assert served.served_by == {1: 100}
    assert served.target.versions(PRODUCT) == (1,)


@edited
def test_an_abort_in_a_canary_gives_the_champion_everything_back(served: World, edit: Edit) -> None:
    state = until(served, Phase.OBSERVING)
    edit(served)
    served.journal.give(state.rollout_id, Verb.ABORT, "ann", "", served.clock.now())
    state = to_its_end(state, served.doors)
    assert state.phase is Phase.ROLLED_BACK
    assert served.served_by == {1: 100}
    assert served.target.versions(PRODUCT) == (1,)
    with pytest.raises(Exception, match="v1 serves as before"):
        outcome(state)


@edited
def test_harm_in_a_canary_gives_the_champion_everything_back(served: World, edit: Edit) -> None:
    state = until(served, Phase.OBSERVING)
    edit(served)
    served.errors[2] = 0.6
    assert to_its_end(state, served.doors).phase is Phase.ROLLED_BACK
    assert served.served_by == {1: 100}


@edited
def test_a_dead_rollout_is_cleared_up_for_the_champion(served: World, edit: Edit) -> None:
    until(served, Phase.OBSERVING)
    served.journal.release(served.journal._leases[PRODUCT][0])
    edit(served)
    settle_before_release(PRODUCT, SECTION, served.doors)
    assert served.served_by == {1: 100}
    assert served.target.versions(PRODUCT) == (1,)


@pytest.mark.parametrize("edit", [name for name in EDITS if name != "everything deleted"])
def test_a_release_compares_with_who_serves_and_ends(served: World, edit: str) -> None:
    EDITS[edit](served)
    state = served.run(served.wish(2, Strategy.CANARY))
    assert (state.phase, state.former, served.served_by) == (Phase.DONE, 1, {2: 100})
    assert "registry.differs" in told(served)
    champion = served.registry.champion(PRODUCT)
    assert champion is not None
    assert (champion.version, champion.rollback_version) == (2, 1)
    assert champion.status is DeploymentStatus.LIVE


def test_a_promotion_in_a_canary_replaces_who_served_not_whom_somebody_named(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    served.registry.edit_alias(PRODUCT, "champion", 3)
    assert to_its_end(state, served.doors).phase is Phase.DONE
    previous = served.registry.previous(PRODUCT)
    assert previous is not None
    assert previous.version == 1


def test_a_candidate_that_was_deleted_is_not_promoted(served: World) -> None:
    until(served, Phase.OBSERVING)
    served.registry.delete(PRODUCT, 2)
    state = served.resume("rollout-2")
    assert state.phase is Phase.ROLLED_BACK
    assert "no version 2 of 'bikes'" in state.reason
    assert served.served_by == {1: 100}


@edited
def test_a_rollback_goes_to_the_former_champion_by_the_journal(served: World, edit: Edit) -> None:
    served.run(served.wish(2))
    edit(served)
    assert rollback_target(PRODUCT, None, served.doors) == 1
    assert rollback_target(PRODUCT, 1, served.doors) == 1
    state = served.run(replace(served.wish(1, goal=Goal.REINSTATE), rollout_id="back"))
    assert (state.phase, served.served_by) == (Phase.DONE, {1: 100})


def test_a_rollback_goes_to_nobody_who_was_rolled_back_or_never_served(served: World) -> None:
    with pytest.raises(NotFound, match="v1 replaced nobody"):
        rollback_target(PRODUCT, None, served.doors)
    with pytest.raises(NotFound, match="never was champion"):
        rollback_target(PRODUCT, 3, served.doors)
    with pytest.raises(NotFound, match="is the champion already"):
        rollback_target(PRODUCT, 1, served.doors)
    served.run(served.wish(2))
    served.run(replace(served.wish(1, goal=Goal.REINSTATE), rollout_id="back"))
    with pytest.raises(NotFound, match="v1 replaced nobody"):
        rollback_target(PRODUCT, None, served.doors)


def test_a_rollback_knows_its_way_without_a_journal_by_the_registry(served: World) -> None:
    served.run(served.wish(2))
    served.journal._rollouts.clear()
    assert rollback_target(PRODUCT, None, served.doors) == 1


@pytest.mark.parametrize("strategy", Strategy)
def test_what_the_engine_itself_leaves_differs_in_nothing(served: World, strategy: Strategy) -> None:
    assert differences(PRODUCT, served.doors) == ()
    served.run(served.wish(2, strategy))
    assert differences(PRODUCT, served.doors) == ()
    served.errors[3] = 0.5
    served.run(served.wish(3, strategy))
    assert differences(PRODUCT, served.doors) == ()


def test_a_rollout_under_way_and_a_rollback_differ_in_nothing(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    assert differences(PRODUCT, served.doors) == ()
    to_its_end(state, served.doors)
    served.run(replace(served.wish(1, goal=Goal.REINSTATE), rollout_id="back"))
    assert differences(PRODUCT, served.doors) == ()


@edited
def test_one_repair_makes_the_registry_agree_as_far_as_it_can(served: World, edit: Edit) -> None:
    edit(served)
    assert differences(PRODUCT, served.doors)
    done = repair(PRODUCT, served.doors)
    lost = [version for version in (1,) if version not in {each.version for each in served.registry.versions(PRODUCT)}]
    assert bool(done.left) == bool(lost)
    assert (done.serving, served.served_by) == (1, {1: 100})
    assert differences(PRODUCT, served.doors) == done.left == repair(PRODUCT, served.doors).left
    assert told(served)[-1] == "registry.repaired"
    if not lost:
        served.settled()


def test_a_repair_waits_for_nobody_and_disturbs_no_rollout(served: World) -> None:
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), LEASE)
    served.registry.edit_alias(PRODUCT, "champion", None)
    with pytest.raises(Busy):
        repair(PRODUCT, served.doors)
    assert served.registry.champion(PRODUCT) is None


def test_a_repair_keeps_the_lease_of_a_process_that_carries_a_rollout_itself(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    with pytest.raises(Busy, match="a rollout of v2 is under way"):
        repair(PRODUCT, served.doors)
    assert to_its_end(state, served.doors).phase is Phase.DONE
