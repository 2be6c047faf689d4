"""A second rollout of a product, and carriers that come late."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import timedelta
from threading import Event
from typing import Any

import pytest

from deployments.clock import ManualClock
from deployments.errors import Busy
from deployments.process_identity import Owner
from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.spec import Second, Strategy
from deployments.targets.protocol import Launch
from deployments.wiring import Doors
from tasks.rollout_engine.lease import LEASE, hold
from tasks.rollout_engine.takeover import begin, orphans, settle_before_release, settle_dead_rollouts
from tests.unit.tasks.rollout_engine.sea import Signed, someone
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World, history, to_its_end


def test_a_second_rollout_is_rejected_by_default_and_at_once(served: World) -> None:
    another_process(served, served.wish(2, Strategy.CANARY))
    began = served.clock.monotonic()
    with pytest.raises(Busy, match="process 1 on another-host is changing its traffic"):
        begin(served.wish(3), served.doors)
    assert served.clock.monotonic() - began < MINUTE.total_seconds()


def test_whoever_has_the_lease_for_long_without_a_rollout_is_not_waited_for_without_end(served: World) -> None:
    served.journal.acquire(PRODUCT, Owner("another-host", 1, 0.0), served.clock.now(), timedelta(days=1))
    for attempt in (
        lambda: begin(served.wish(2), served.doors),
        lambda: settle_before_release(PRODUCT, SECTION, served.doors),
    ):
        began = served.clock.monotonic()
        with pytest.raises(Busy, match="another-host"):
            attempt()
        assert 120 <= served.clock.monotonic() - began < 180


class Waiting(ManualClock):
    """Whoever waits on it lets the other run go on first, and looks again when that has come to a rest."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go_on = Event(), Event()

    def sleep(self, duration: timedelta) -> None:
        super().sleep(duration)
        self.waits.set()
        assert self.go_on.wait(60)


class Runs:
    """Two runs of one product, in processes of their own; the second begins while the first has the lease."""

    def __init__(self, world: World) -> None:
        gone: set[int] = set()
        self.world, self.clock = world, Waiting()
        self.clock.advance(timedelta(seconds=world.clock.monotonic()))
        first, second = (Signed(world.journal, someone(number, gone)) for number in (1, 2))
        self.first = replace(world.doors, journal=first)  # type: ignore[arg-type]
        self.second = replace(world.doors, journal=second, clock=self.clock)  # type: ignore[arg-type]

    def meet(self, first: Callable[[Doors], Any], second: Callable[[Doors], Any]) -> "Future[Any]":
        """What comes of the second, which began in the middle of the first; that has ended when this returns."""
        with ThreadPoolExecutor(1) as other:
            began: list[Future[Any]] = []

            def seen(_: Any) -> None:
                if not began and self.world.journal.holder(PRODUCT, self.world.clock.now()) is not None:
                    began.append(other.submit(second, self.second))
                    began[0].add_done_callback(lambda _: self.clock.waits.set())
                    assert self.clock.waits.wait(60)

            first(replace(self.first, target=Asked(self.world.target, seen)))  # type: ignore[arg-type]
            self.clock.go_on.set()
            wait(began, 60)
        return began[0]


class Asked:
    """A target that tells whenever it is asked anything."""

    def __init__(self, target: Any, seen: Callable[[Any], None]) -> None:
        self._target, self._seen = target, seen

    def __getattr__(self, name: str) -> Any:
        self._seen(name)
        return getattr(self._target, name)


@pytest.mark.parametrize("second", list(Second))
def test_two_releases_that_start_at_one_moment_both_train(served: World, second: Second) -> None:
    """Each puts right what was left; that one does so just now is no rollout, whatever the spec says."""
    served.target.launch(Launch(PRODUCT, 3, served.folder, 1))  # what a release that died has left
    section = SECTION.model_copy(update={"second": second})

    def recover(doors: Doors) -> str | None:
        return settle_before_release(PRODUCT, section, doors)

    assert Runs(served).meet(recover, recover).result() is None
    served.settled()


def test_of_two_that_come_to_the_traffic_at_one_moment_one_rolls_out_and_one_is_rejected(served: World) -> None:
    section = SECTION.model_copy(update={"second": Second.REJECT})
    late = Runs(served).meet(
        lambda doors: begin(served.wish(2, Strategy.CANARY), doors),
        lambda doors: begin(served.wish(3, Strategy.CANARY, section=section), doors),
    )
    with pytest.raises(Busy, match="is changing its traffic"):
        late.result()
    assert [state.candidate for state in served.journal.rollouts(PRODUCT) if state.live] == [2]


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
            settle_dead_rollouts(PRODUCT, SECTION, served.doors, lease)
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
            settle_dead_rollouts(PRODUCT, SECTION, served.doors, lease)
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
