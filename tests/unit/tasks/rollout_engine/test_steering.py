"""What people may order while a candidate is watched, and what a cancellation does."""

from typing import Any

from deployments.rollout.operator_commands import Verb
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Approve, Observe, Promote
from deployments.spec import BlueGreenSection, Strategy
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.evidence_sources import gathered
from tasks.rollout_engine.takeover import begin
from tests.unit.tasks.rollout_engine.world import MINUTE, PRODUCT, SECTION, World, history, to_its_end


def gives(world: World, verb: Verb, when: Phase, step: type = Observe) -> Any:
    given: list[bool] = []

    def between(state: RolloutState) -> None:
        if state.phase is when and isinstance(state.step, step) and not given:
            world.journal.give(state.rollout_id, verb, "ann", "because", world.clock.now())
            given.append(True)

    return between


def test_abort_puts_the_champion_back(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=gives(served, Verb.ABORT, Phase.OBSERVING))
    assert (state.phase, state.reason) == (Phase.ROLLED_BACK, "abort by ann: because")
    assert "order.abort" in history(served)
    served.settled()


def test_promote_gives_all_traffic_and_keeps_the_bake(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=gives(served, Verb.PROMOTE, Phase.OBSERVING))
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    assert SECTION.bake <= state.updated_at - state.started_at < SECTION.bake + MINUTE
    served.settled()


def test_a_shadow_may_be_promoted_by_a_person(served: World) -> None:
    state = served.run(served.wish(2, Strategy.SHADOW), between=gives(served, Verb.PROMOTE, Phase.OBSERVING))
    assert (state.phase, served.served_by) == (Phase.DONE, {2: 100})
    served.settled()


def test_skip_ends_the_present_observation_only(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=gives(served, Verb.SKIP, Phase.OBSERVING))
    assert state.phase is Phase.DONE
    assert 3 * MINUTE <= state.updated_at - state.started_at < 4 * MINUTE


def test_a_pause_keeps_the_weights_and_still_rolls_back_on_harm(served: World) -> None:
    pause = gives(served, Verb.PAUSE, Phase.OBSERVING)

    def between(state: RolloutState) -> None:
        pause(state)
        if state.phase is Phase.PAUSED and served.clock.monotonic() > 3600:
            assert served.served_by == {1: 90, 2: 10}
            served.errors[2] = 0.5

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.ROLLED_BACK
    assert served.clock.monotonic() > 3600
    served.settled()


def test_resume_goes_on_where_the_pause_began(served: World) -> None:
    pause, on = gives(served, Verb.PAUSE, Phase.OBSERVING), gives(served, Verb.RESUME, Phase.PAUSED)

    def between(state: RolloutState) -> None:
        pause(state)
        if served.clock.monotonic() > 600:
            on(state)

    state = served.run(served.wish(2, Strategy.CANARY), between=between)
    assert state.phase is Phase.DONE
    assert state.updated_at - state.started_at > 10 * MINUTE
    served.settled()


def test_nothing_goes_on_before_a_person_approves_and_harm_does_not_wait_for_them(served: World) -> None:
    section = SECTION.model_copy(update={"blue_green": BlueGreenSection(approve=True)})
    approve = gives(served, Verb.APPROVE, Phase.WAITING, Approve)

    def late(state: RolloutState) -> None:
        if served.clock.monotonic() > 7200:
            approve(state)
        elif state.phase is Phase.WAITING:
            assert served.served_by == {1: 100}

    state = served.run(served.wish(2, Strategy.BLUE_GREEN, section=section), between=late)
    assert state.phase is Phase.DONE
    assert served.clock.monotonic() > 7200
    served.settled()


def test_an_order_that_means_nothing_now_is_declined_and_written_down(served: World) -> None:
    state = served.run(served.wish(2, Strategy.CANARY), between=gives(served, Verb.APPROVE, Phase.OBSERVING))
    assert state.phase is Phase.DONE
    declined = [event for event in served.journal.events(PRODUCT) if event.kind == "order.declined"]
    assert declined[0].detail["why"] == "approve: nothing is asked"


def test_a_cancelled_run_puts_the_champion_back(served: World) -> None:
    state = begin(served.wish(2, Strategy.CANARY), served.doors)
    carrier = Carrier(served.doors, lambda: "cancelled in Prefect" if served.clock.monotonic() > 30 else None)
    while state.live:
        state = carrier.advance(state)
    assert (state.phase, state.reason) == (Phase.ROLLED_BACK, "cancelled in Prefect")
    assert served.clock.monotonic() < 32, "a cancellation does not wait for the next look"
    served.settled()


def test_the_evidence_of_a_former_try_counts_again(served: World) -> None:
    first = served.run(served.wish(2, Strategy.CANARY), between=gives(served, Verb.ABORT, Phase.RUNNING, Promote))
    proved = served.journal.evidence(first.rollout_id)
    assert len(proved) > 10
    again = begin(served.wish(2, Strategy.CANARY, rollout_id="again", carries=first.rollout_id), served.doors)
    assert gathered(again, served.journal) == proved
    over = to_its_end(again, served.doors)
    assert over.phase is Phase.DONE
    assert gathered(over, served.journal)[: len(proved)] == proved
