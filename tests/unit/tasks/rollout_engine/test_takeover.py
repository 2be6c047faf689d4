"""Whose turn it is, and what a rollout leaves whose process died."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import Busy
from deployments.process_identity import Owner
from deployments.registry import DeploymentStatus
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote, Retire
from deployments.spec import Second, Strategy
from deployments.strategies.plan import Goal
from deployments.targets.in_memory import Behaviour
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import LEASE, hold
from tasks.rollout_engine.takeover import PICKED_UP, begin, settle_before_release, settle_dead_rollouts
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World, to_its_end

ELSEWHERE = Owner("another-host", 1, 0.0)
QUEUE = SECTION.model_copy(update={"second": Second.QUEUE})
SUPERSEDE = SECTION.model_copy(update={"second": Second.SUPERSEDE})


def orphan(world: World, until: type = Promote) -> RolloutState:
    """A canary of v2 whose process died after the step of this kind was done."""
    state, carrier = begin(world.wish(2, Strategy.CANARY), world.doors), Carrier(world.doors)
    while not any(isinstance(step, until) for step in state.steps[: state.done]):
        state = carrier.advance(state)
    world.journal.release(hold(PRODUCT, world.doors))
    return state


def test_a_queued_rollout_lets_one_whose_process_died_be_carried_on_first(served: World) -> None:
    left = begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    began = served.clock.monotonic()

    def stop() -> str | None:
        if served.clock.monotonic() - began > 60 and served.journal.rollout(PRODUCT, left.rollout_id).live:
            to_its_end(served.journal.rollout(PRODUCT, left.rollout_id), served.doors)
        return None

    state = begin(served.wish(3, section=QUEUE), served.doors, stop)
    assert served.journal.rollout(PRODUCT, left.rollout_id).phase is Phase.DONE
    assert state.former == 2


def test_a_queued_rollout_waits_only_so_long_for_somebody_to_carry_the_other_on(served: World) -> None:
    left = begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    began = served.clock.monotonic()
    begin(served.wish(3, section=QUEUE), served.doors)
    assert served.journal.rollout(PRODUCT, left.rollout_id).phase is Phase.ROLLED_BACK
    assert PICKED_UP.total_seconds() <= served.clock.monotonic() - began < PICKED_UP.total_seconds() + 5


@pytest.mark.parametrize("section", [QUEUE, SUPERSEDE], ids=["queue", "supersede"])
def test_a_release_that_does_not_reject_begins_its_work_while_another_rollout_is_carried(
    served: World, section: Any
) -> None:
    other = begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)
    assert settle_before_release(PRODUCT, section, served.doors) is None
    assert served.journal.rollout(PRODUCT, other.rollout_id).live
    with pytest.raises(Busy):
        settle_before_release(PRODUCT, SECTION, served.doors)


def test_an_aborted_rollout_whose_process_died_after_its_promotion_is_still_taken_back(served: World) -> None:
    state = orphan(served)
    served.journal.give(state.rollout_id, Verb.ABORT, "ann", "", served.clock.now())
    lease = hold(PRODUCT, served.doors)
    given_up = state.with_phase(Phase.RESTORING, "abort by ann", served.clock.now())
    served.journal.save(given_up, lease)
    settle_dead_rollouts(PRODUCT, SECTION, served.doors, lease)
    assert served.journal.rollout(PRODUCT, state.rollout_id).phase is Phase.ROLLED_BACK
    assert served.served_by == {1: 100}
    assert served.registry.get(PRODUCT, 2).status is DeploymentStatus.ROLLED_BACK
    served.settled()


def test_the_champion_keeps_its_name_and_status_when_it_is_rolled_out_again_in_vain(served: World) -> None:
    served.target.script(PRODUCT, 1, Behaviour.ANSWERING_WRONGLY)
    state = begin(served.wish(1, rollout_id="once more"), served.doors)
    champion = served.registry.champion(PRODUCT)
    assert champion is not None
    assert (champion.status, champion.aliases) == (DeploymentStatus.LIVE, ("champion",))
    assert served.resume(state.rollout_id).phase is Phase.ROLLED_BACK
    served.settled()


def test_the_first_champion_of_all_stays_if_it_is_too_late_to_take_it_back(world: World) -> None:
    state, carrier = begin(world.wish(1), world.doors), Carrier(world.doors)
    while state.step is not None:
        state = carrier.advance(state)
    world.journal.give(state.rollout_id, Verb.ABORT, "ann", "", world.clock.now())
    state = to_its_end(state, world.doors)
    assert state.phase is Phase.DONE
    assert state.reason == "v1 is champion already, and there was none before it (abort by ann)"
    world.settled()


def test_a_run_begun_again_under_its_id_does_not_answer_for_the_evidence_of_its_first_version(served: World) -> None:
    served.errors[2] = 0.4
    first = served.run(served.wish(2, Strategy.CANARY))
    assert first.phase is Phase.ROLLED_BACK
    served.clock.sleep(timedelta(seconds=1))
    again = served.run(served.wish(3, Strategy.CANARY, rollout_id=first.rollout_id))
    assert (again.phase, served.served_by) == (Phase.DONE, {3: 100})


def test_a_rollback_may_go_to_who_is_champion_by_now(served: World) -> None:
    served.run(served.wish(2))
    state = served.run(replace(served.wish(2, goal=Goal.REINSTATE), rollout_id="back"))
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    served.settled()


@pytest.mark.parametrize("entry", ["put_right", "begin"])
def test_a_release_waits_for_a_rollout_that_will_be_over_at_once(served: World, entry: str) -> None:
    other = begin(served.wish(2), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), timedelta(days=1))

    def carried_on_elsewhere(_: timedelta) -> None:
        if served.clock.monotonic() > 20 and served.journal.rollout(PRODUCT, other.rollout_id).live:
            lease = served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), timedelta(days=1))
            settle_dead_rollouts(PRODUCT, SECTION, served.doors, lease)
            served.journal.release(lease)

    served.clock.passing = carried_on_elsewhere
    if entry == "put_right":
        assert settle_before_release(PRODUCT, SECTION, served.doors) is None
    else:
        assert begin(served.wish(3), served.doors).candidate == 3
    assert served.clock.monotonic() > 20


def test_a_release_waits_for_no_rollout_that_watches_and_for_none_for_ever(served: World) -> None:
    begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), timedelta(days=1))
    with pytest.raises(Busy):
        settle_before_release(PRODUCT, SECTION, served.doors)
    assert served.clock.monotonic() == 0


def test_a_rollout_that_should_be_over_at_once_and_is_not_is_refused_after_two_minutes(served: World) -> None:
    begin(served.wish(2), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), timedelta(days=1))
    with pytest.raises(Busy):
        begin(served.wish(3), served.doors)
    assert PICKED_UP.total_seconds() < served.clock.monotonic() < PICKED_UP.total_seconds() + 5


def test_a_run_that_begins_again_is_not_told_again_what_it_was_told_before(served: World) -> None:
    state = begin(served.wish(2), served.doors)
    served.journal.give(state.rollout_id, Verb.ABORT, "ann", "", served.clock.now())
    assert to_its_end(state, served.doors).phase is Phase.ROLLED_BACK
    assert served.run(served.wish(2)).phase is Phase.DONE


def test_an_order_that_nobody_had_dealt_with_is_told_to_the_run_that_begins_again(served: World) -> None:
    state = begin(served.wish(2), served.doors)
    served.journal.give(state.rollout_id, Verb.ABORT, "ann", "", served.clock.now())
    assert served.run(served.wish(2)).reason == "abort by ann"


def test_a_rollout_that_is_over_in_seconds_is_waited_for_also_by_one_that_supersedes(served: World) -> None:
    state, carrier = begin(served.wish(2), served.doors), Carrier(served.doors)
    while not isinstance(state.step, Retire):
        state = carrier.advance(state)
    served.journal.release(hold(PRODUCT, served.doors))
    theirs = served.journal.acquire(PRODUCT, ELSEWHERE, served.clock.now(), LEASE)
    began = served.clock.monotonic()

    def stop() -> str | None:
        if served.clock.monotonic() - began > 5 and served.journal.rollout(PRODUCT, state.rollout_id).live:
            served.journal.release(theirs)
            to_its_end(served.journal.rollout(PRODUCT, state.rollout_id), served.doors)
        return None

    assert begin(served.wish(3, section=SUPERSEDE), served.doors, stop).former == 2
    assert served.journal.orders(state.rollout_id) == ()
