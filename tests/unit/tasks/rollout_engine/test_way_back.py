"""Harm is proved while something is away: users are back within two seconds, whatever it is, and all agrees later."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deployments.errors import JournalUnreachable, RegistryUnreachable, RouterUnreachable
from deployments.rollout.state import Phase, RolloutState
from deployments.routers.rollback_routing import Retreat
from deployments.spec import Strategy
from tasks.rollout_engine.abandonment import give_up
from tasks.rollout_engine.carrier import Carrier
from tests.unit.tasks.rollout_engine.hostile import AWAY, MOMENTS, PROMOTION, Door, Killed, Outage, doors_of, through
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, World, to_its_end


@pytest.mark.parametrize("what", AWAY)
@pytest.mark.parametrize("moment", MOMENTS)
def test_users_are_back_within_two_seconds_of_the_proof(tmp_path: Path, moment: str, what: str) -> None:
    world = World(tmp_path)
    course = through(world, MOMENTS[moment], what)
    assert course.seconds_to_act <= 2
    assert course.seconds_to_notice <= 150
    assert course.state.phase is Phase.ROLLED_BACK
    assert world.unanswered == 0
    world.settled()


@pytest.mark.parametrize("what", ["MLflow", "journal", "disk full"])
def test_a_promotion_that_cannot_be_written_is_no_time_without_a_guard(tmp_path: Path, what: str) -> None:
    world = World(tmp_path)
    course = through(world, PROMOTION, what)
    assert course.seconds_to_act <= 2
    assert course.seconds_to_notice <= 150
    assert course.state.phase is Phase.ROLLED_BACK
    assert world.unanswered == 0
    world.settled()


def harmed_while_away(served: World, what: str) -> Outage:
    """v2 is at 10 % when `what` goes away and it begins to fail; its carrier is killed once users are back."""
    outage = Outage(served, what)
    doors = doors_of(served, outage)

    def between(state: RolloutState) -> None:
        if state.phase is Phase.OBSERVING and served.served_by.get(2) == 10 and not outage.on:
            outage.begin()
        if outage.back_at is not None:
            raise Killed

    with pytest.raises(Killed):
        served.run(served.wish(2, Strategy.CANARY), doors, between)
    return outage


def test_a_successor_that_reads_an_old_journal_leads_nobody_back_to_the_candidate(served: World) -> None:
    outage = harmed_while_away(served, "journal")
    written = served.journal.rollout(PRODUCT, "rollout-2")
    assert (written.phase, served.served_by) == (Phase.OBSERVING, {1: 100})
    outage.on = False
    served.errors.clear()  # nothing new will speak against it
    met: set[Any] = set()
    served.clock.passing = lambda _: met.update(served.served_by)
    state = served.resume("rollout-2")
    assert state.phase is Phase.ROLLED_BACK
    assert "error" in state.reason, "why, as its predecessor found"
    assert met <= {1}
    served.settled()


def test_a_note_of_an_earlier_time_ends_nothing(served: World) -> None:
    served.journal.orders_every = timedelta(0)
    began = served.clock.now()
    served.clock.sleep(MINUTE)
    noted: list[bool] = []

    def between(state: RolloutState) -> None:
        if state.phase is Phase.OBSERVING and not noted:
            live = served.router.read(PRODUCT)
            assert live is not None
            for note in (Retreat(state.rollout_id, "before it began", began), Retreat("another", "other", began)):
                served.router.retreat(PRODUCT, 1, note)
                served.router.edit(PRODUCT, live)
            noted.append(True)

    assert served.run(served.wish(2, Strategy.CANARY), between=between).phase is Phase.DONE
    served.settled()


def test_what_is_left_to_do_stands_in_the_reason_and_goes_when_it_is_done(served: World) -> None:
    outage = Outage(served, "MLflow")
    doors = doors_of(served, outage)

    def between(state: RolloutState) -> None:
        if state.phase is Phase.OBSERVING and not outage.on:
            outage.begin()

    with pytest.raises(RegistryUnreachable):
        served.run(served.wish(2, Strategy.CANARY), doors, between)
    state = served.journal.rollout(PRODUCT, "rollout-2")
    assert state.phase is Phase.RESTORING
    assert "v1 has all traffic again, the rest follows: MLflow does not answer" in state.reason
    assert served.target.versions(PRODUCT) == (1,), "what needs no registry is done"
    outage.on = False
    over = served.resume("rollout-2")
    assert over.phase is Phase.ROLLED_BACK
    assert over.reason == state.reason.partition("; v1 has all")[0]
    served.settled()


@pytest.mark.parametrize("what", ["MLflow", "journal"])
def test_a_champion_without_servers_is_started_as_it_was_before(served: World, what: str) -> None:
    outage = Outage(served, what)
    doors = doors_of(served, outage)

    def between(state: RolloutState) -> None:
        if state.phase is Phase.OBSERVING and served.served_by.get(2) == 10 and not outage.on:
            served.target.retire(PRODUCT, 1, timedelta(0))
            served.router._answers = lambda address: "/v1/" not in address or 1 in served.answering()
            outage.begin()

    with pytest.raises((RegistryUnreachable, JournalUnreachable)):
        served.run(served.wish(2, Strategy.CANARY), doors, between)
    assert served.served_by == {1: 100}
    assert len(served.target.replicas(PRODUCT, 1)) == 2
    outage.on = False
    assert served.resume("rollout-2").phase is Phase.ROLLED_BACK
    served.settled()


def test_a_decision_that_neither_journal_nor_router_took_is_not_forgotten(served: World) -> None:
    outage = Outage(served, "journal")

    class Silent(Door):
        def __getattr__(self, name: str) -> Any:
            if outage.on:
                raise RouterUnreachable("no cluster answers")
            return super().__getattr__(name)

    doors = replace(doors_of(served, outage), router=Silent("router", served.router, outage))  # type: ignore[arg-type]
    carrier, state = None, None

    def between(now: RolloutState) -> None:
        nonlocal state
        if now.phase is Phase.OBSERVING and served.served_by.get(2) == 10:
            state = now
            raise Killed

    with pytest.raises(Killed):
        served.run(served.wish(2, Strategy.CANARY), doors, between)
    assert state is not None
    outage.on = True
    carrier = Carrier(doors)
    state = give_up(state, "a step failed", doors)
    state = carrier.advance(state)
    assert (state.phase, served.served_by) == (Phase.RESTORING, {1: 90, 2: 10})
    outage.on = False
    state = carrier.advance(state)
    assert served.served_by == {1: 100}
    over = to_its_end(state, doors)
    assert (over.phase, over.reason) == (Phase.ROLLED_BACK, "a step failed")
    served.settled()


def test_a_healthy_candidate_is_neither_promoted_nor_taken_back_while_the_journal_is_away(served: World) -> None:
    outage = Outage(served, "journal")
    doors = doors_of(served, outage)
    seen: set[float] = set()

    def between(state: RolloutState) -> None:
        if state.phase is Phase.OBSERVING and not outage.on and not seen:
            outage.on, outage.back_at = True, 0.0
            began.append(served.clock.monotonic())
        if outage.on:
            seen.add(served.served_by[2])
            outage.on = served.clock.monotonic() - began[0] < 3600

    began: list[float] = []
    state = served.run(served.wish(2, Strategy.CANARY), doors, between)
    assert state.phase is Phase.DONE
    assert seen == {10}
    evidence = served.journal.evidence("rollout-2")
    assert len({block.start for block in evidence}) == len(evidence), "nothing is counted twice"
    assert sum((block.end - block.start for block in evidence), timedelta(0)) > 0.9 * timedelta(hours=1)
    served.settled()
