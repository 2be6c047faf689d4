"""Orders to a rollout under way: refused where they mean nothing, and answered with what became of them."""

from datetime import timedelta

import pytest

from deployments.errors import BadInput, Busy, NotFound
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import BlueGreenSection, Strategy
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.command_submission import PATIENCE, abort_under_way, place_order, rollout_under_way
from tasks.rollout_engine.takeover import begin, take_over
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

ASKING = SECTION.model_copy(update={"blue_green": BlueGreenSection(approve=True)})


def until(world: World, phase: Phase, strategy: Strategy = Strategy.CANARY) -> RolloutState:
    """A rollout of v2 that this process carries, in `phase`."""
    state, carrier = begin(world.wish(2, strategy, section=ASKING), world.doors), Carrier(world.doors)
    while state.phase is not phase:
        state = carrier.advance(state)
    return state


def carried_meanwhile(world: World, state: RolloutState) -> None:
    """While somebody waits, the rollout is carried on, as another process does."""
    carrier, busy, traffic = Carrier(world.doors), False, world.clock.passing

    def passing(duration: timedelta) -> None:
        nonlocal busy
        traffic(duration)
        if not busy:
            busy = True
            carrier.advance(world.journal.rollout(PRODUCT, state.rollout_id))
            busy = False

    world.clock.passing = passing


def test_an_order_that_is_obeyed_is_answered_with_the_phase_it_led_to(served: World) -> None:
    carried_meanwhile(served, until(served, Phase.OBSERVING))
    reply = place_order(PRODUCT, Verb.PAUSE, "ann", "lunch", served.journal, served.clock)
    assert (reply.dealt_with, reply.state.phase) == (True, Phase.PAUSED)
    assert reply.sentence() == "bikes v2: paused (pause by ann: lunch)"


def test_an_approval_leads_to_the_next_step(served: World) -> None:
    state = until(served, Phase.WAITING, Strategy.BLUE_GREEN)
    carried_meanwhile(served, state)
    reply = place_order(PRODUCT, Verb.APPROVE, "ann", "", served.journal, served.clock)
    assert reply.dealt_with
    assert reply.state.done > state.done


def test_an_abort_waits_until_the_champion_has_everything(served: World) -> None:
    carried_meanwhile(served, until(served, Phase.OBSERVING))
    reply = place_order(PRODUCT, Verb.ABORT, "ann", "", served.journal, served.clock)
    assert (reply.state.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})


@pytest.mark.parametrize(
    ("verb", "why"), [(Verb.APPROVE, "nothing is asked"), (Verb.RESUME, "the rollout is not paused")]
)
def test_an_order_that_means_nothing_is_refused_and_not_written_down(served: World, verb: Verb, why: str) -> None:
    state = until(served, Phase.OBSERVING)
    with pytest.raises(BadInput, match=f"bikes v2: cannot {verb} now: {why}"):
        place_order(PRODUCT, verb, "ann", "", served.journal, served.clock)
    assert served.journal.orders(state.rollout_id) == ()


def test_an_order_is_tried_after_those_that_are_still_to_be_dealt_with(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    served.journal.give(state.rollout_id, Verb.PAUSE, "ann", "", served.clock.now())
    place_order(PRODUCT, Verb.RESUME, "bob", "", served.journal, served.clock)
    assert [order.verb for order in served.journal.orders(state.rollout_id)] == [Verb.PAUSE, Verb.RESUME]


def test_an_order_to_nobody_is_kept_and_says_so_within_ten_seconds(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    lease = served.journal._leases[PRODUCT][0]
    served.journal.release(lease)
    began = served.clock.monotonic()
    reply = place_order(PRODUCT, Verb.PAUSE, "ann", "", served.journal, served.clock)
    assert served.clock.monotonic() - began <= PATIENCE.total_seconds() + 1
    assert (reply.dealt_with, reply.carried) == (False, False)
    assert "nobody carries the rollout now" in reply.sentence()
    after = Carrier(served.doors).advance(take_over(state, served.doors))
    assert after.phase is Phase.PAUSED


def test_an_order_that_came_too_late_is_answered_with_the_carriers_reason(served: World) -> None:
    state = until(served, Phase.WAITING, Strategy.BLUE_GREEN)
    carried_meanwhile(served, state)
    give_as_before = served.journal.give

    def after_another(rollout_id: str, verb: Verb, *rest: object) -> object:
        give_as_before(rollout_id, Verb.SKIP, "bob", "", served.clock.now())
        return give_as_before(rollout_id, verb, *rest)  # type: ignore[arg-type]

    served.journal.give = after_another  # type: ignore[method-assign,assignment]
    with pytest.raises(BadInput, match="cannot approve: nothing is asked"):
        place_order(PRODUCT, Verb.APPROVE, "ann", "", served.journal, served.clock)


def test_without_a_rollout_under_way_there_is_nobody_to_tell(served: World) -> None:
    with pytest.raises(NotFound, match="no rollout of 'bikes' is under way: `seatrial explain bikes`"):
        place_order(PRODUCT, Verb.ABORT, "ann", "", served.journal, served.clock)
    with pytest.raises(NotFound):
        rollout_under_way("cars", served.journal)


def test_a_rollback_ends_what_is_under_way_first(served: World) -> None:
    carried_meanwhile(served, until(served, Phase.OBSERVING))
    ended = abort_under_way(PRODUCT, "ann", "rollback", served.journal, served.clock)
    assert ended is not None
    assert (ended.phase, served.served_by) == (Phase.ROLLED_BACK, {1: 100})
    assert "rollback" in ended.reason


def test_a_rollback_does_not_wait_for_a_rollout_that_nobody_carries(served: World) -> None:
    state = until(served, Phase.OBSERVING)
    served.journal.release(served.journal._leases[PRODUCT][0])
    began = served.clock.monotonic()
    assert abort_under_way(PRODUCT, "ann", "rollback", served.journal, served.clock) == state
    assert served.clock.monotonic() == began


def test_a_rollback_says_when_a_carrier_does_not_listen(served: World) -> None:
    until(served, Phase.OBSERVING)
    with pytest.raises(Busy, match="the rollout of v2 does not end"):
        abort_under_way(PRODUCT, "ann", "rollback", served.journal, served.clock)


def test_with_nothing_under_way_a_rollback_has_nothing_to_end(served: World) -> None:
    assert abort_under_way(PRODUCT, "ann", "rollback", served.journal, served.clock) is None
