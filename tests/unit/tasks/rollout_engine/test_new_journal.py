"""A journal that begins anew, on a machine whose clock is late: whoever serves goes on, and so do releases."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deployments.errors import RouterUnreachable
from deployments.journals.in_memory import InMemoryJournal
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Observe
from deployments.spec import Strategy
from deployments.wiring import Doors
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.registry_sync import repair
from tasks.rollout_engine.takeover import settle_before_release
from tests.unit.tasks.rollout_engine.hostile import Door, Killed, Outage
from tests.unit.tasks.rollout_engine.world import PRODUCT, SECTION, World

YEAR = timedelta(days=365)


def anew(served: World) -> Doors:
    """The journal's file is gone, and the clock says a year ago."""
    served.journal = InMemoryJournal()
    served.clock._now -= YEAR
    served.doors = replace(served.doors, journal=served.journal)
    return served.doors


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_release_goes_through(served: World, strategy: Strategy) -> None:
    before = served.router.newest_token(PRODUCT)
    state = served.run(served.wish(2, strategy), anew(served))
    assert state.phase is Phase.DONE
    assert served.router.newest_token(PRODUCT) > before
    assert served.unanswered == 0
    served.settled()


def test_harm_is_taken_back(served: World) -> None:
    served.errors[2] = 0.6
    assert served.run(served.wish(2, Strategy.CANARY), anew(served)).phase is Phase.ROLLED_BACK
    served.settled()


@pytest.mark.parametrize("share", [10, 50, 100])
def test_a_journal_that_is_lost_in_a_canary_makes_no_champion_of_the_candidate(served: World, share: float) -> None:
    def between(state: RolloutState) -> None:
        if isinstance(state.step, Observe) and served.served_by.get(2) == share:
            raise Killed

    with pytest.raises(Killed):
        served.run(served.wish(2, Strategy.CANARY), between=between)
    doors = anew(served)
    settle_before_release(PRODUCT, SECTION, doors)
    assert (served.served_by, served.target.versions(PRODUCT)) == ({1: 100}, (1,))
    assert repair(PRODUCT, doors).left == ()
    served.settled()


def test_a_former_holder_is_refused_as_ever(served: World) -> None:
    doors = anew(served)
    first = hold(PRODUCT, doors)
    second = hold(PRODUCT, doors)
    assert first == second
    assert first.token > served.router.newest_token(PRODUCT)
    assert repair(PRODUCT, doors).left == ()


def test_a_gateway_that_cannot_be_asked_keeps_nobody_from_the_lease(served: World) -> None:
    class Silent(Door):
        def __getattr__(self, name: str) -> object:
            raise RouterUnreachable("no answer")

    doors = replace(anew(served), router=Silent("router", served.router, Outage(served, "nothing")))  # type: ignore[arg-type]
    assert hold(PRODUCT, doors).token > served.target.newest_token(PRODUCT)
