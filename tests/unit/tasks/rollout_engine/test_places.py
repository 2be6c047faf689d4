"""Two machines with local servers and one journal: none carries or ends what the other one serves."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.errors import Busy
from deployments.process_identity import Owner
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Second, Strategy
from deployments.wiring import Doors
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.takeover import begin, orphans, settle_before_release, take_over
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

A, B = "aaaa@1111 (on laptop)", "bbbb@2222 (on laptop)"


def at(place: str, world: World) -> Doors:
    return replace(world.doors, place=place)


def left_by_a(world: World) -> RolloutState:
    """A canary on machine A, whose process died."""
    state = begin(world.wish(2, Strategy.CANARY), at(A, world))
    world.journal.release(hold(PRODUCT, world.doors))
    return state


def test_a_rollout_knows_whose_servers_it_has(served: World) -> None:
    assert left_by_a(served).place == A
    assert begin(served.wish(3), served.doors).place == ""  # in a cluster


def test_nobody_elsewhere_looks_after_it(served: World) -> None:
    state, now = left_by_a(served), served.clock.now()
    assert orphans(served.journal, now, A) == (state,)
    assert orphans(served.journal, now, "aaaa@1111 (on its-new-name)") == (state,)
    assert orphans(served.journal, now, B) == ()


def test_nobody_elsewhere_takes_it_over_and_is_told_where_it_is(served: World) -> None:
    state = left_by_a(served)
    with pytest.raises(Busy, match=r"v2 are those of aaaa@1111 \(on laptop\), and this is bbbb@2222 \(on laptop\)"):
        take_over(state, at(B, served))
    assert served.journal.holder(PRODUCT, served.clock.now()) is None
    assert take_over(state, at(A, served)).rollout_id == state.rollout_id


@pytest.mark.parametrize("second", list(Second))
def test_a_release_elsewhere_moves_nothing_and_holds_nothing(served: World, second: Second) -> None:
    state, wish = left_by_a(served), served.wish(3, section=SECTION.model_copy(update={"second": second}))
    before = (served.served_by, served.target.versions(PRODUCT))
    with pytest.raises(Busy, match="SEATRIAL_PLACE=aaaa@1111"):
        begin(wish, at(B, served))
    assert (served.served_by, served.target.versions(PRODUCT)) == before
    assert served.journal.rollout(PRODUCT, state.rollout_id).live
    assert served.journal.holder(PRODUCT, served.clock.now()) is None


def test_putting_right_elsewhere_is_refused_before_anything_is_trained(served: World) -> None:
    left_by_a(served)
    with pytest.raises(Busy, match="run `seatrial up` there"):
        settle_before_release(PRODUCT, SECTION, at(B, served))
    assert served.journal.holder(PRODUCT, served.clock.now()) is None


def test_whoever_takes_the_place_of_a_lost_machine_ends_what_it_left(served: World) -> None:
    state = left_by_a(served)
    settle_before_release(PRODUCT, SECTION, at("aaaa@1111 (on another)", served))
    assert served.journal.rollout(PRODUCT, state.rollout_id).phase is Phase.ROLLED_BACK
    served.settled()


def test_a_rollout_of_an_older_journal_is_carried_on_from_anywhere(served: World) -> None:
    state = left_by_a(served)
    lease = hold(PRODUCT, served.doors)
    served.journal.save(replace(state, place=""), lease)
    served.journal.release(lease)
    assert len(orphans(served.journal, served.clock.now(), B)) == 1
    assert take_over(replace(state, place=""), at(B, served)).live


def test_a_holder_elsewhere_is_waited_for_a_minute_and_no_longer(served: World) -> None:
    """A killed Job: the handing over sees it when its lease is over."""
    begin(served.wish(2, Strategy.CANARY), served.doors)
    served.journal.release(hold(PRODUCT, served.doors))
    served.journal.acquire(PRODUCT, Owner("pod-1", 1, 0.0), served.clock.now(), timedelta(seconds=60))
    assert orphans(served.journal, served.clock.now() + timedelta(seconds=59)) == ()
    assert len(orphans(served.journal, served.clock.now() + timedelta(seconds=60))) == 1
