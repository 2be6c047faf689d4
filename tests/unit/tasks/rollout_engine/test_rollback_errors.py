"""Whatever a way back fails with, it names the product, what was refused, who serves now, and the next command."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deployments.errors import (
    ClusterRefused,
    DiskFull,
    JournalUnreachable,
    NeverReady,
    RegistryUnreachable,
    RouterRefused,
    RouterUnreachable,
    SeatrialError,
    TargetUnreachable,
)
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe
from deployments.spec import Strategy
from deployments.wiring import Doors
from tasks.rollout_engine.abandonment import give_up
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.takeover import begin, settle_before_release, take_over
from tests.advice import followed
from tests.unit.tasks.rollout_engine.hostile import Door, Killed, Outage
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World, to_its_end

FAILURES = [
    ("router", ClusterRefused("HTTPRoutes in ml: forbidden: allow it")),
    ("router", RouterUnreachable("the gateway does not answer")),
    ("router", RouterRefused("the gateway does not take the routing")),
    ("target", ClusterRefused("Deployments in ml: forbidden: allow it")),
    ("target", TargetUnreachable("supervisord does not answer")),
    ("target", NeverReady("v1-0 cannot start")),
    ("registry", ClusterRefused("it is forbidden")),
    ("registry", RegistryUnreachable("MLflow does not answer")),
    ("registry", DiskFull("no space left")),
    ("journal", JournalUnreachable("the journal does not answer")),
]


class Failing(Door):
    """A door of which everything fails that changes something or starts something, once it is `on`."""

    on = False

    def __init__(self, name: str, world: World, failure: SeatrialError) -> None:
        super().__init__(name, getattr(world, name), Outage(world, "nothing"))
        self._failure = failure

    def __getattr__(self, name: str) -> Any:
        def call(*_arguments: Any, **_keywords: Any) -> Any:
            raise self._failure

        reads = {"read", "retreated", "newest_token", "versions", "orders_every"} if self._name != "journal" else set()
        if self._name == "target":
            reads.add("replicas")
        return call if self.on and name not in reads else super().__getattr__(name)


def with_failing(world: World, door: str, failure: SeatrialError) -> tuple[Doors, Failing]:
    failing = Failing(door, world, failure)
    changes: dict[str, Any] = {door: failing}
    return replace(world.doors, **changes), failing


def observed(world: World, doors: Doors) -> RolloutState:
    state, carrier = begin(world.wish(2, Strategy.CANARY), doors), Carrier(doors)
    while not isinstance(state.step, Observe):
        state = carrier.advance(state)
    return state


def without_champion(world: World, failing: Failing) -> None:
    """Its servers are gone: they have to be started, which the router's own retreat cannot do."""
    world.target.retire(PRODUCT, 1, timedelta(0))
    world.router._answers = lambda address: "/v1/" not in address or 1 in world.answering()
    failing.on = True


def by_its_carrier(world: World, doors: Doors, failing: Failing) -> None:
    state = observed(world, doors)
    without_champion(world, failing)
    to_its_end(give_up(state, "a step failed", doors), doors)


def by_the_next_release(world: World, doors: Doors, failing: Failing) -> None:
    observed(world, doors)
    without_champion(world, failing)
    settle_before_release(PRODUCT, SECTION, doors)


def by_a_person(world: World, doors: Doors, failing: Failing) -> None:
    observed(world, doors)
    without_champion(world, failing)
    settle_before_release(PRODUCT, SECTION, doors, going_back=True)


WAYS: list[Callable[[World, Doors, Failing], None]] = [by_its_carrier, by_the_next_release, by_a_person]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("door", "failure"), FAILURES, ids=lambda each: each if isinstance(each, str) else type(each).__name__
)
def test_all_that_a_person_needs_is_said(
    served: World, door: str, failure: SeatrialError, way: Callable[[World, Doors, Failing], None]
) -> None:
    doors, failing = with_failing(served, door, failure)
    if door == "journal" and way is not by_its_carrier:
        return  # whether anything is left is not known then
    if way is by_a_person and isinstance(failure, RegistryUnreachable | DiskFull):
        way(served, doors, failing)  # the registry is owed its word, and that is no failure
        return
    with pytest.raises(type(failure)) as caught:
        way(served, doors, failing)
    said = str(caught.value)
    assert said.startswith(f"{PRODUCT}: ")
    assert str(failure) in said
    shares = served.served_by
    assert all(f"v{version} has {share:g} % of the traffic" in said for version, share in shares.items())
    assert f"`seatrial rollback {PRODUCT}`" in said
    assert said.count("Once that is mended") == 1


@pytest.mark.parametrize(
    ("door", "failure"), FAILURES[:9], ids=lambda each: each if isinstance(each, str) else type(each).__name__
)
def test_the_advice_helps_and_the_reason_said_where_users_were(
    served: World, door: str, failure: SeatrialError
) -> None:
    doors, failing = with_failing(served, door, failure)
    with pytest.raises(type(failure)) as caught:
        by_its_carrier(served, doors, failing)
    assert followed("Once that is mended `seatrial rollback ") in str(caught.value)
    state = served.journal.rollout(PRODUCT, "rollout-2")
    assert state.phase is Phase.RESTORING
    again = served.served_by == {1: 100}
    where = "v1 has all traffic again, the rest follows: " if again else "v1 has not all traffic yet: "
    assert state.reason == f"a step failed; {where}{failure}"
    failing.on = False
    settle_before_release(PRODUCT, SECTION, doors, going_back=True)
    over = served.journal.rollout(PRODUCT, "rollout-2")
    assert (over.phase, over.reason) == (Phase.ROLLED_BACK, "a step failed")
    served.settled()


def test_a_gateway_that_does_not_say_who_serves_is_told_of(served: World) -> None:
    class Silent(Door):
        def __getattr__(self, name: str) -> Any:
            raise RouterUnreachable("no answer at envoy.sock")

    silent: Any = Silent("router", served.router, Outage(served, "nothing"))
    observed(served, served.doors)
    with pytest.raises(RouterUnreachable, match=r"^bikes: v1 could .* Who serves now cannot be told \(no answer"):
        settle_before_release(PRODUCT, SECTION, replace(served.doors, router=silent))


def test_a_first_version_that_cannot_be_cleared_away_is_told_of(world: World) -> None:
    failure = ClusterRefused("Deployments in ml: forbidden: allow it")
    doors, failing = with_failing(world, "target", failure)

    def between(state: RolloutState) -> None:
        if state.done:
            raise Killed

    with pytest.raises(Killed):
        world.run(world.wish(1), doors, between)
    failing.on = True
    state = world.journal.rollout(PRODUCT, "rollout-1")
    state = give_up(take_over(state, doors), "a step failed", doors)
    with pytest.raises(ClusterRefused, match=r"bikes: what is left could not .* Nobody serves now.*seatrial rollback"):
        to_its_end(state, doors)
