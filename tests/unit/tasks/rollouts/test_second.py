"""A second rollout of a product, and carriers that come late."""

from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import Busy
from deployments.owner import Owner
from deployments.rollout.orders import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Second, Strategy
from tasks.rollouts.beginning import begin, orphans, settle
from tasks.rollouts.keeping import LEASE, hold
from tests.unit.tasks.rollouts.world import MINUTE, PRODUCT, SECTION, World, history, to_its_end


def test_a_second_rollout_is_rejected_by_default(served: World) -> None:
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), LEASE)
    with pytest.raises(Busy, match="another-host"):
        begin(served.wish(2), served.doors)


def another_process(world: World, wish: Any) -> RolloutState:
    """A rollout that a process of another host carries."""
    state = begin(wish, world.doors)
    world.journal.release(hold(PRODUCT, world.doors))
    world.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), world.clock.now(), timedelta(days=1))
    return state


def test_a_second_rollout_may_wait_for_the_end_of_the_first(served: World) -> None:
    other = another_process(served, served.wish(2))
    queued = served.wish(3, section=SECTION.model_copy(update={"second": Second.QUEUE}))

    def end_it(_: timedelta) -> None:
        if served.clock.monotonic() > 90 and served.journal.rollout(PRODUCT, other.rollout_id).live:
            lease = served.journal.acquire(
                PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), timedelta(days=1)
            )
            settle(PRODUCT, SECTION, served.doors, lease)
            served.journal.release(lease)

    served.clock.passing = end_it
    state = served.run(queued)
    assert (state.phase, state.candidate) == (Phase.DONE, 3)
    assert served.clock.monotonic() > 90
    served.settled()


def test_a_second_rollout_may_tell_the_first_to_give_up(served: World) -> None:
    other = another_process(served, served.wish(2))
    wanted = served.wish(3, section=SECTION.model_copy(update={"second": Second.SUPERSEDE}))

    def obey(_: timedelta) -> None:
        if served.journal.orders(other.rollout_id) and served.journal.rollout(PRODUCT, other.rollout_id).live:
            theirs = Owner("another-host", 1, 0.0)
            lease = served.journal.acquire(PRODUCT, theirs, served.clock.now(), timedelta(days=1))
            settle(PRODUCT, SECTION, served.doors, lease)
            served.journal.release(lease)

    served.clock.passing = obey
    assert served.run(wanted).phase is Phase.DONE
    orders = served.journal.orders(other.rollout_id)
    assert [(order.verb, order.reason) for order in orders] == [(Verb.ABORT, "superseded by v3")]
    served.settled()


def test_a_rollout_whose_process_is_gone_is_an_orphan_and_one_that_is_carried_is_not(served: World) -> None:
    state = begin(served.wish(2, Strategy.CANARY), served.doors)
    assert orphans(served.journal, served.clock.now()) == ()
    served.journal.release(hold(PRODUCT, served.doors))
    assert orphans(served.journal, served.clock.now()) == (state,)
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), MINUTE)
    with pytest.raises(Busy):
        served.resume(state.rollout_id)
    served.clock.sleep(2 * MINUTE)
    assert served.resume(state.rollout_id).phase is Phase.DONE
    assert "rollout.taken_over" in history(served)


def test_a_late_carrier_cannot_move_anything_any_more(served: World) -> None:
    state = begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), LEASE)
    with pytest.raises(Busy):
        to_its_end(state, served.doors)
    assert served.served_by == {1: 100}
