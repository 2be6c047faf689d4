"""A rollout that fails without a verdict: its candidate's users are given back before the journal is asked."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

import tasks.rollout_steps
from deployments import wiring
from deployments.errors import (
    Busy,
    ClusterRefused,
    NeverReady,
    NotFound,
    RegistryUnreachable,
    RolloutFailed,
    RouterUnreachable,
)
from deployments.rollout.state import Phase, RolloutState
from deployments.rollout.steps import Promote, Shift
from deployments.spec import Strategy
from flows import rollout as flow
from tasks.rollout_engine.carrier import Carrier
from tasks.rollout_engine.lease import hold
from tasks.rollout_engine.local_rollouts import remember_state, remembered_state
from tasks.rollout_engine.takeover import begin
from tasks.rollout_steps import abandon, take_step
from tests.unit.flows.conftest import until
from tests.unit.tasks.rollout_engine.world import PRODUCT, World

FAILURES: tuple[BaseException, ...] = (
    NeverReady("v2 cannot start"),
    ClusterRefused("services is forbidden"),
    RegistryUnreachable("MLflow does not answer"),
    httpx.ConnectError("refused"),
    ValueError("a defect of ours"),
    KeyboardInterrupt(),
)


class Slow:
    """A journal that answers in the end; who was served when it was asked is noted."""

    def __init__(self, world: World) -> None:
        self._world, self.served_by = world, list[dict[int, float]]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._world.journal, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **keywords: Any) -> Any:
            self.served_by.append(self._world.served_by)
            return found(*arguments, **keywords)

        return call


@pytest.fixture
def journal(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    """What every task of this process finds as its journal; without Prefect."""
    slow: Any = Slow(world)
    monkeypatch.setattr(wiring, "journal", lambda: slow)
    monkeypatch.setattr(wiring, "doors", lambda _: replace(world.doors, journal=slow))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield slow


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("strategy", [Strategy.CANARY, Strategy.AB, Strategy.SHADOW])
def test_traffic_moves_before_the_journal_is_asked(
    world: World, journal: Slow, error: BaseException, strategy: Strategy
) -> None:
    state = remember_state(until(world, Phase.OBSERVING, strategy))
    live = world.router.read(PRODUCT)
    assert live is not None
    assert 2 in live.versions
    after = abandon(PRODUCT, state.rollout_id, error)
    assert after is not None
    assert after.phase is Phase.RESTORING
    assert journal.served_by[0] == {1: 100}
    live = world.router.read(PRODUCT)
    assert live is not None
    assert live.versions == (1,)


def test_a_journal_that_was_lost_with_the_rollout_keeps_nobody_with_the_candidate(world: World, journal: Slow) -> None:
    """Its file was removed under the running process: there is no such rollout any more."""
    state = remember_state(until(world, Phase.OBSERVING))
    world.journal._rollouts.clear()
    assert abandon(PRODUCT, state.rollout_id, NotFound("bikes has no rollout")) is None
    assert journal.served_by[0] == world.served_by == {1: 100}


def test_the_state_that_a_step_left_is_known_though_prefect_failed_to_hand_it_on(world: World, journal: Slow) -> None:
    """Prefect is told of a step's end after the journal is: by then the candidate may be champion."""
    before = promoting(world)
    after = Carrier(world.doors).advance(before)
    assert after.decided
    remember_state(after)
    state = abandon(PRODUCT, after.rollout_id, httpx.ConnectError("refused"))
    assert state is not None
    assert (state.phase, world.served_by) == (Phase.RUNNING, {2: 100})


def test_every_step_of_a_flow_leaves_where_it_is(world: World, journal: Slow) -> None:
    state = until(world, Phase.OBSERVING)
    for _ in range(len(state.steps)):
        state = take_step.fn(state)
        assert remembered_state(state.rollout_id) is state
    assert state.phase is Phase.DONE


def test_a_step_that_waits_for_another_process_says_so_at_once(
    world: World, journal: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody stopped the process that has the gateway's lock; it goes on a little later."""
    state = begin(world.wish(2), world.doors)
    while not isinstance(state.step, Shift):
        state = take_step.fn(state)
    told = list[tuple[str, float]]()
    monkeypatch.setattr(tasks.rollout_steps, "tell", lambda event, **_: told.append((event, world.clock.monotonic())))
    apply, began = world.router.apply, world.clock.monotonic()

    def held(*arguments: Any, **keywords: Any) -> None:
        if world.clock.monotonic() < began + 20:
            raise RouterUnreachable("the lock is held by process 123, which is stopped")
        apply(*arguments, **keywords)

    monkeypatch.setattr(world.router, "apply", held)
    take_step.fn(state)
    [when] = [when for event, when in told if event == "rollout.delayed"]
    assert when - began <= 1


def test_a_lost_lease_moves_nobody(world: World, journal: Slow) -> None:
    state = remember_state(until(world, Phase.OBSERVING))
    world.journal.release(hold(PRODUCT, world.doors))
    held = world.served_by
    assert abandon(PRODUCT, state.rollout_id, Busy("the lease is over")) is None
    assert world.served_by == held


def test_a_whole_flow_ends_as_before(world: World, journal: Slow) -> None:
    state = remember_state(until(world, Phase.OBSERVING))
    with pytest.raises(RolloutFailed, match=r"v2 cannot start.*v1 serves as before"):
        flow._or_put_back(PRODUCT, state.rollout_id, raising(NeverReady("v2 cannot start")), without_prefect=True)
    assert journal.served_by[0] == {1: 100}
    world.settled()


def raising(error: BaseException) -> Callable[[], Any]:
    def carry() -> Any:
        raise error

    return carry


def promoting(world: World) -> RolloutState:
    """A rollout whose next step is the promotion."""
    state, carrier = until(world, Phase.OBSERVING), Carrier(world.doors)
    while not isinstance(state.step, Promote):
        state = carrier.advance(state)
    return state
